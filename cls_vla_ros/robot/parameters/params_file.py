"""What a params file says, for tools that do what the node does without running it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from cls_vla_ros.node.connections import NODE_NAME
from cls_vla_ros.node.parameters import Parameters
from cls_vla_ros.robot.parameters.spec import Value


@contextmanager
def parameters_of(path: Path, overrides: dict[str, Value] | None = None) -> Iterator[Parameters]:
    """The node's parameters with the values of a file, declared, checked and read as by the node.

    Args:
        path: YAML, as for `ros2 run --params-file`.
        overrides: values that take the place of the file's, by name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML with ROS parameters.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no params file {path}")
    context = Context()
    context.init(args=[])
    try:
        node = Node(
            NODE_NAME,
            context=context,
            cli_args=["--ros-args", "--params-file", str(path)],
            parameter_overrides=[Parameter(k, value=v) for k, v in (overrides or {}).items()],
            start_parameter_services=False,
            enable_rosout=False,
        )
    except RuntimeError as error:  # rclpy's, with rcl's own words
        context.try_shutdown()
        raise ValueError(f"{path} is no params file: {error}") from error
    try:
        yield Parameters(node)
    finally:
        node.destroy_node()
        context.try_shutdown()
