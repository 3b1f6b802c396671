"""Start the node as policy.launch.py does, and play a recording into it once it is active.

The time is the recording's (use_sim_time). It takes policy.launch.py's arguments
too. When the recording is over, a report is left (`out:=`), and the node stays, so that one can
look at it; `shutdown:=true` ends both. A wrong bag ends the launch before the policy loads.
"""

from pathlib import Path

from launch import Action, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("cls_vla_ros")
ARGUMENTS = (
    (
        "bag",
        PathJoinSubstitution([SHARE, "bags", "demo"]),
        "rosbag2 directory (MCAP or SQLite). Default: the demo's",
    ),
    ("rate", "1.0", "2.0 plays twice as fast"),
    ("loop", "false", "true: begin again at the end; the node resets when time jumps back"),
    ("out", "replay_output", "folder for report, picture and bag; empty, or with loop: none"),
    ("shutdown", "false", "true: everything ends with the recording; false: the node stays"),
)
# The launch has ROS's Python, which need not have the package's dependencies.
STORAGES = ("metadata.yaml", "*.mcap", "*.db3")


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=d, description=text)
        for name, d, text in ARGUMENTS
    ]
    policy = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "policy.launch.py"])),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    check, player = OpaqueFunction(function=check_bag), OpaqueFunction(function=start_player)
    return LaunchDescription([*arguments, check, policy, player])


def check_bag(context) -> None:
    """Raise where there is no recording: the launch ends with another exit code than 0 then."""
    bag = Path(LaunchConfiguration("bag").perform(context)).expanduser()
    if not any(any(bag.glob(pattern)) for pattern in STORAGES):
        raise RuntimeError(
            f"bag:={bag} is not a rosbag2 directory: it has no metadata.yaml, and no file of "
            ".mcap or .db3"
        )


def start_player(context) -> list[Node]:
    """It waits by itself until the node is active."""
    given = {
        name: LaunchConfiguration(name).perform(context)
        for name in ("rate", "out", "params_file", "policy_path")
    }
    options = ["--rate", given["rate"], "--when-active", "--params-file", given["params_file"]]
    if given["policy_path"]:
        options += ["--policy", given["policy_path"]]
    if is_true("loop", context):
        options += ["--loop"]
    elif given["out"]:
        options += ["--report", given["out"]]
    player = Node(
        package="cls_vla_ros",
        executable="replay",
        name="replay",
        namespace=LaunchConfiguration("namespace"),
        arguments=[LaunchConfiguration("bag"), *options],
        output="screen",
        on_exit=player_ended,
    )
    return [player]


def player_ended(event, context) -> Action | None:
    """The launch ends with the player where it failed, or where that is asked for."""
    if context.is_shutdown:
        return None
    if event.returncode > 0:
        # Not at once: what the player said last, the reason, is still on its way.
        return TimerAction(period=0.5, actions=[OpaqueFunction(function=fail)])
    if is_true("shutdown", context):
        return Shutdown(reason="the recording is over")
    return LogInfo(msg="the recording is over, and the node still runs: Ctrl-C ends it")


def fail(context) -> None:
    """Raise: `ros2 launch` has another exit code than 0 only where something does."""
    raise RuntimeError("the recording could not be played; above is why")


def is_true(name: str, context) -> bool:
    return LaunchConfiguration(name).perform(context).lower() in ("true", "1")
