"""Start the lifecycle node cls_vla_policy, configured and activated.

Without arguments it runs the demo's policy with the demo's topics, so that a first launch
always works.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

PACKAGE = "cls_vla_ros"
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
    ("autostart", "true", "true: configure and activate the node; false: leave that to you"),
    (
        "use_sim_time",
        "",
        "true: take the time from /clock, as for recordings and simulators. Default: use_sim_time "
        "of params_file, else false",
    ),
)
TOPICS = ("joint_trajectory", "joint_command")
OVERRIDES = {"policy_path": "policy.path", "device": "policy.device", "task": "task"}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=d, description=text)
        for name, d, text in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_node)])


def start_node(context) -> list:
    """The node, and on autostart its way to active.

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
    topics = {topic: LaunchConfiguration(topic).perform(context) for topic in TOPICS}
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
    autostart = IfCondition(LaunchConfiguration("autostart"))
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state="configuring",
            goal_state="inactive",
            entities=[transition(node, Transition.TRANSITION_ACTIVATE)],
        ),
        condition=autostart,
    )
    # The handler comes first: a node that is configured quickly must not pass it unheard.
    configure = transition(node, Transition.TRANSITION_CONFIGURE, condition=autostart)
    return [activate, node, configure]


def transition(node: LifecycleNode, transition_id: int, **kwargs) -> EmitEvent:
    event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition_id)
    return EmitEvent(event=event, **kwargs)
