"""Start several robots' nodes, each in a namespace of its own, with one policy's server.

The server runs already: `serve_policy`, on this machine or another (docs/fleet.md). Without other
arguments the nodes have the demo's topics, so that `replay` in a robot's namespace feeds it:
`ros2 run cls_vla_ros replay BAG --ros-args -r __ns:=/robot1`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "cls_vla_ros"
ARGUMENTS = (
    (
        "server",
        "ws://127.0.0.1:8000",
        "address of serve_policy, ws://host:port or wss://host:port",
    ),
    ("robots", "4", "how many, in the namespaces <prefix>1, <prefix>2 and so on"),
    ("prefix", "robot", "of the namespaces"),
    ("token_file", "", "file with the server's token. Default: none"),
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "demo.yaml"]),
        "YAML with every node's parameters; policy.path in it is left out. Default: the demo's",
    ),
    ("use_sim_time", "false", "true: take the time from /clock"),
    ("armed", "false", "true: controllers get the actions from the first good observation on"),
)


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=d, description=text)
        for name, d, text in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_nodes)])


def start_nodes(context) -> list[LifecycleNode]:
    """A node for each robot; another's end is not theirs."""
    text = LaunchConfiguration("robots").perform(context)
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise RuntimeError(f"robots:={text}: expected a number from 1 to 100")
    prefix = LaunchConfiguration("prefix").perform(context)
    overrides = {
        "policy.path": ParameterValue("", value_type=str),
        "policy.server": ParameterValue(LaunchConfiguration("server"), value_type=str),
        "policy.token_file": ParameterValue(LaunchConfiguration("token_file"), value_type=str),
        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
        "execution.armed": ParameterValue(LaunchConfiguration("armed"), value_type=bool),
        "autostart": True,
    }
    return [
        LifecycleNode(
            package=PACKAGE,
            executable="policy_node",
            name="cls_vla_policy",
            namespace=f"{prefix}{n}",
            parameters=[LaunchConfiguration("params_file"), overrides],
            output="screen",
            emulate_tty=True,
        )
        for n in range(1, int(text) + 1)
    ]
