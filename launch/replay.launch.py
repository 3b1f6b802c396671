"""Start the node as policy.launch.py does, and play a recording into it once it is active.

The time is the recording's (use_sim_time). It takes policy.launch.py's arguments
too. When the recording is over the node stays, so that one can look at it; `shutdown:=true`
ends both. A wrong bag ends the launch before the policy loads.
"""

from pathlib import Path

from launch import Action, EventHandler, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.events.lifecycle import StateTransition
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
    # The node is another file's, so it is known by its transition; only one node in this launch
    # has any.
    play_when_active = RegisterEventHandler(
        EventHandler(
            matcher=lambda event: (
                isinstance(event, StateTransition) and event.goal_state == "active"
            ),
            entities=[OpaqueFunction(function=start_player)],
            handle_once=True,
        )
    )
    check = OpaqueFunction(function=check_bag)
    return LaunchDescription([*arguments, check, play_when_active, policy])


def check_bag(context) -> None:
    """Raise where there is no recording: the launch ends with another exit code than 0 then."""
    bag = Path(LaunchConfiguration("bag").perform(context)).expanduser()
    if not any(any(bag.glob(pattern)) for pattern in STORAGES):
        raise RuntimeError(
            f"bag:={bag} is not a rosbag2 directory: it has no metadata.yaml, and no file of "
            ".mcap or .db3"
        )


def player_ended(event, context) -> Action | None:
    """The launch ends with the player where it failed, or where that is asked for."""
    if context.is_shutdown:
        return None
    wanted = LaunchConfiguration("shutdown").perform(context).lower() in ("true", "1")
    if event.returncode > 0:
        return Shutdown(reason="the recording could not be played; above is why")
    if wanted:
        return Shutdown(reason="the recording is over")
    return LogInfo(msg="the recording is over, and the node still runs: Ctrl-C ends it")


def start_player(context) -> list[Node]:
    loop = LaunchConfiguration("loop").perform(context).lower() in ("true", "1")
    player = Node(
        package="cls_vla_ros",
        executable="replay",
        name="replay",
        namespace=LaunchConfiguration("namespace"),
        arguments=[
            LaunchConfiguration("bag"),
            "--rate",
            LaunchConfiguration("rate"),
            *(["--loop"] if loop else []),
        ],
        output="screen",
        on_exit=player_ended,
    )
    return [player]
