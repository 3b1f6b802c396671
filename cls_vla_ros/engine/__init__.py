"""The policy's inference, made fast: static shapes, fused kernels, CUDA graphs. No ROS."""

from cls_vla_ros.engine.choose import DTYPES, ENGINES, check_engine, make_engine
from cls_vla_ros.engine.engine import Engine
from cls_vla_ros.engine.failures import DeviceFailedError
from cls_vla_ros.engine.guidance import Guide
from cls_vla_ros.engine.prefix import EncodedPrefix
from cls_vla_ros.engine.sample import Sample

__all__ = [
    "DTYPES",
    "ENGINES",
    "DeviceFailedError",
    "EncodedPrefix",
    "Engine",
    "Guide",
    "Sample",
    "check_engine",
    "make_engine",
]
