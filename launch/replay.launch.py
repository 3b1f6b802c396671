"""Start the node as policy.launch.py does, and play a recording into it once it is active.

The time is the recording's (use_sim_time). It takes policy.launch.py's arguments
too. When the recording is over, everything is shut down.
"""

from launch import EventHandler, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
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
)


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
    return LaunchDescription([*arguments, play_when_active, policy])


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
        on_exit=Shutdown(reason="the recording is over"),
    )
    return [player]
