"""Asks the controllers of ros2_control which joints they have, when the node is configured."""

import time
from collections.abc import Callable

import rclpy
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from cls_vla_ros.robot.action.controller_joints import INTERFACE, JOINTS, PARTIAL, problem_with
from cls_vla_ros.robot.action.outputs import ARRAY, TRAJECTORY
from cls_vla_ros.robot.settings import OutputSettings, Settings

TIMEOUT_S = 2.0
DISCOVERY_S = 1.5  # a node that starts by itself is configured before it has seen the others


def check_controllers(node: Node, settings: Settings, say: Callable[[str], None]) -> None:
    """Compare the names of each output with the joints of its controller, where that is there.

    Args:
        node: whose topics they are; called in its executor's thread.
        settings: with the outputs.
        say: gets what was compared, and what could not be.

    Raises:
        ValueError: a controller has other joints, or an order that its messages do not tell.
    """
    controllers = {
        output.name: controller
        for output in settings.action.outputs
        if output.type in JOINTS and (controller := _controller_of(node, output))
    }
    services = _wait_for(node, {f"{c}/get_parameters" for name, c in controllers.items() if name})
    problems = []
    for output in settings.action.outputs:
        controller = controllers.get(output.name)
        if controller is None:
            continue
        service = f"{controller}/get_parameters"
        if service not in services:
            if output.name:
                say(f"{controller} does not run yet: its joints were not compared")
            continue
        with_interface = [INTERFACE] if output.type == ARRAY else []
        partial = [PARTIAL] if output.type == TRAJECTORY else []
        asked = [JOINTS[output.type], *with_interface, *partial]
        values = ask(node, service, asked)
        joints = values.get(JOINTS[output.type])
        if not joints:
            say(f"{controller} does not say which joints it has: they were not compared")
            continue
        problem = problem_with(
            output,
            [joints] if isinstance(joints, str) else list(joints),
            interface=values.get(INTERFACE) or "",
            allows_partial=bool(values.get(PARTIAL)),
        )
        problems += [problem] if problem else []
    if problems:
        raise ValueError("; ".join(problems))


def _wait_for(node: Node, wanted: set[str]) -> set[str]:
    """The services that there are, once those wanted are seen, or discovery has had its time."""
    deadline = time.monotonic() + DISCOVERY_S
    while True:
        found = {name for name, _ in node.get_service_names_and_types()}
        if wanted <= found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _controller_of(node: Node, output: OutputSettings) -> str:
    if output.controller:
        return node.resolve_service_name(output.controller)
    return node.resolve_topic_name(output.topic).rpartition("/")[0]


def ask(node: Node, service: str, names: list[str]) -> dict[str, object]:
    """The values of a node's parameters, as far as it has them and answers in time.

    By a node and an executor of its own: that of the node waits for `configure`.

    Args:
        node: who asks.
        service: the other node's get_parameters.
        names: of the parameters.
    """
    asking = rclpy.create_node(
        f"{node.get_name()}_asks",
        namespace=node.get_namespace(),
        context=node.context,
        use_global_arguments=False,
        start_parameter_services=False,
        enable_rosout=False,
    )
    executor = SingleThreadedExecutor(context=node.context)
    try:
        client = asking.create_client(GetParameters, service)
        if not client.wait_for_service(TIMEOUT_S):
            return {}
        values = {}
        for name in names:  # one by one: where one is not declared, rclcpp answers with none
            future = client.call_async(GetParameters.Request(names=[name]))
            rclpy.spin_until_future_complete(asking, future, executor, TIMEOUT_S)
            if not future.done():
                return values
            for value in future.result().values:
                if value.type != ParameterType.PARAMETER_NOT_SET:
                    values[name] = parameter_value_to_python(value)
        return values
    finally:
        executor.shutdown()
        asking.destroy_node()
