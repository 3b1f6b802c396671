"""Start the lifecycle node cls_vla_policy, configured and activated.

Without arguments it runs the demo's policy with the demo's topics, so that a first launch
always works.
"""

from launch import Action, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "cls_vla_ros"
LAYOUT = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "views", "plotjuggler.xml"])
ARGUMENTS = (
    (
        "params_file",
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "demo.yaml"]),
        "YAML with the node's parameters: topics, joints, policy. Default: the demo's",
    ),
    ("policy_path", "", "checkpoint: directory or hub id. Default: policy.path of params_file"),
    ("device", "", "auto, cpu, cuda or cuda:N. Default: policy.device of params_file"),
    ("task", "", "the instruction, in words. Default: task of params_file"),
    (
        "joint_trajectory",
        "",
        "topic of a joint_trajectory_controller, as /arm_controller/joint_trajectory, in the "
        "short form (action.kind joint_positions). Default: joint_trajectory",
    ),
    (
        "joint_command",
        "",
        "topic of the commands in stream mode, as /forward_position_controller/commands, in the "
        "short form. Default: joint_command",
    ),
    ("namespace", "", "namespace of the node and of its topics, for several robots"),
    (
        "autostart",
        "true",
        "true: the node configures and activates itself, and the launch ends where it cannot; "
        "false: leave that to you",
    ),
    (
        "armed",
        "",
        "true: controllers get the actions from the first good observation on; false: not before "
        "the service arm is called. Default: execution.armed of params_file, else false",
    ),
    (
        "use_sim_time",
        "",
        "true: take the time from /clock, as for recordings and simulators. Default: use_sim_time "
        "of params_file, else false",
    ),
    ("view", "", "foxglove, rqt or plotjuggler: start it too. Default: none of them"),
)
# What each starts beside the node; the viewer's own package must be installed.
VIEWS = {
    "": [],
    "foxglove": [("foxglove_bridge", "foxglove_bridge", [])],
    "rqt": [("rqt_plot", "rqt_plot", ["/scene_change/similarity", "/scene_change/threshold"])],
    "plotjuggler": [("plotjuggler", "plotjuggler", ["--layout", LAYOUT])],
}
TOPICS = ("joint_trajectory", "joint_command")
OVERRIDES = {"policy_path": "policy.path", "device": "policy.device", "task": "task"}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=d, description=text)
        for name, d, text in ARGUMENTS
    ]
    starts = [OpaqueFunction(function=start_node), OpaqueFunction(function=start_view)]
    return LaunchDescription([*arguments, *starts])


def start_view(context) -> list[Node]:
    """The viewer, and what turns chunks into values that it can plot."""
    view = LaunchConfiguration("view").perform(context)
    if view not in VIEWS:
        expected = ", ".join(filter(None, VIEWS))
        raise RuntimeError(f"view:={view} is none of {expected}")
    commands = [*VIEWS[view], *([(PACKAGE, "chunk_values", [])] if view else [])]
    return [
        Node(
            package=package,
            executable=executable,
            arguments=arguments,
            namespace=LaunchConfiguration("namespace"),
        )
        for package, executable, arguments in commands
    ]


def start_node(context) -> list:
    """The node, and the end of the launch.

    A function, because an argument that is not given must not override the params file.
    """
    given = {argument: LaunchConfiguration(argument).perform(context) for argument in OVERRIDES}
    overrides = {
        OVERRIDES[a]: ParameterValue(value, value_type=str) for a, value in given.items() if value
    }
    if LaunchConfiguration("use_sim_time").perform(context):
        overrides["use_sim_time"] = ParameterValue(
            LaunchConfiguration("use_sim_time"), value_type=bool
        )
    if LaunchConfiguration("armed").perform(context):
        armed = ParameterValue(LaunchConfiguration("armed"), value_type=bool)
        overrides["execution.armed"] = armed
    topics = {topic: LaunchConfiguration(topic).perform(context) for topic in TOPICS}
    overrides["autostart"] = ParameterValue(LaunchConfiguration("autostart"), value_type=bool)
    node = LifecycleNode(
        package=PACKAGE,
        executable="policy_node",
        name="cls_vla_policy",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            overrides,
        ],
        remappings=[(ours, theirs) for ours, theirs in topics.items() if theirs],
        output="screen",
        emulate_tty=True,
    )
    return [node, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=end))]


def end(event, context) -> Action | None:
    """The launch ends with the node, where it was not the other way round."""
    if context.is_shutdown:
        return None
    if event.returncode <= 0:  # 0, or a signal's
        return Shutdown(reason="the policy node has ended")
    # Not at once: what the node said last, the reason, is still on its way.
    return TimerAction(period=0.5, actions=[OpaqueFunction(function=fail)])


def fail(context) -> None:
    """Raise: `ros2 launch` has another exit code than 0 only where something does."""
    raise RuntimeError("the policy node could not start; above is what it said of it")
