"""The policy's inference, made fast: static shapes, fused kernels, CUDA graphs. No ROS."""

from cls_vla_ros.console.lazy import lazy

_MODULES = {
    "DTYPES": "names",
    "ENGINES": "names",
    "DeviceFailedError": "failures",
    "EncodedPrefix": "prefix",
    "Engine": "engine",
    "Guide": "guidance",
    "Sample": "sample",
    "check_engine": "choose",
    "make_engine": "choose",
}
__all__ = list(_MODULES)
__getattr__ = lazy(__name__, _MODULES)
