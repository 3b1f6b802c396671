"""Start the lifecycle node cls_vla_policy, configured and activated.

Without arguments it runs the demo's policy with the demo's topics, so that a first launch
always works.
"""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
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
    ("view", "", "rerun, foxglove, plotjuggler or rqt: start it too. Default: none of them"),
)
# What each starts beside the node: package, executable, arguments.
VIEWS = {
    "rerun": [(PACKAGE, "rerun_view", ["--params-file", LaunchConfiguration("params_file")])],
    "foxglove": [("foxglove_bridge", "foxglove_bridge", [])],
    "plotjuggler": [("plotjuggler", "plotjuggler", ["--layout", LAYOUT])],
    "rqt": [(PACKAGE, "rqt_view", [])],  # it says itself what of rqt is missing
}
TOPICS = ("joint_trajectory", "joint_command")
OVERRIDES = {"policy_path": "policy.path", "device": "policy.device", "task": "task"}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=d, description=text)
        for name, d, text in ARGUMENTS
    ]
    starts = [OpaqueFunction(function=f) for f in (check_file, start_view, start_node)]
    return LaunchDescription([*arguments, *starts])


def check_file(context) -> None:
    """Raise where there is no such file: the node would run without, and miss everything."""
    file = Path(LaunchConfiguration("params_file").perform(context))
    if not file.is_file():
        raise RuntimeError(
            f"params_file:={file} does not exist (from {Path.cwd()}): `ros2 run cls_vla_ros "
            "make_config` writes one"
        )


def start_view(context) -> list[Node]:
    """The viewer, and what turns chunks into values that it can plot."""
    view = LaunchConfiguration("view").perform(context)
    if not view:
        return []
    if view not in VIEWS:
        raise RuntimeError(f"view:={view} is none of {', '.join(VIEWS)}")
    for package, _, _ in VIEWS[view]:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            raise RuntimeError(
                f"view:={view} needs the package {package}, which is not installed here: "
                f"`sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}`, or leave view "
                "out"
            ) from None
    return [
        Node(
            package=package,
            executable=executable,
            arguments=arguments,
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            on_exit=view_ended,
        )
        for package, executable, arguments in [*VIEWS[view], (PACKAGE, "chunk_values", [])]
    ]


def view_ended(event, context) -> Action | None:
    """The robot does not stop because nobody looks."""
    if context.is_shutdown or event.returncode == 0:  # Ctrl-C, or somebody closed it
        return None
    return LogInfo(msg=f"{event.process_name} has ended, and the policy node still runs")


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
