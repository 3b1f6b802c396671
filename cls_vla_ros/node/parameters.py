"""The parameters as a node declares them: described, checked, and refused with a reason."""

from collections.abc import Iterable

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from cls_vla_ros.robot.parameters.parameters import Parameters
from cls_vla_ros.robot.parameters.spec import DOUBLES, STRINGS, Spec, Value

SCALARS = (bool, int, float, str)
LIST_TYPES = {STRINGS: Parameter.Type.STRING_ARRAY, DOUBLES: Parameter.Type.DOUBLE_ARRAY}


class NodeParameters(Parameters):
    """The parameters of a node.

    A bad value in a file or on the command line does not take the node down either: it is said,
    `configure` fails with it, and setting a good value mends it.
    """

    def __init__(self, node: Node) -> None:
        """Declare them.

        Args:
            node: whose.
        """
        self._node = node
        super().__init__()
        node.add_post_set_parameters_callback(self._on_set)

    def get(self, name: str) -> Value:
        """The value of a declared parameter; [] for a list that is not set."""
        value = self._node.get_parameter(name).value
        return self._specs[name].meant(value) if isinstance(value, SCALARS) else list(value)

    def set(self, name: str, value: Value) -> str:
        """Set one, as anybody may.

        Returns:
            Why it is not set; empty if it is.
        """
        (result,) = self._node.set_parameters([Parameter(name, value=value)])
        return "" if result.successful else result.reason

    def problem(self, parameter: Parameter, *, is_configured: bool) -> str:
        """Why a parameter may not be set so; empty if it may."""
        spec = self._specs.get(parameter.name)
        if spec is None:
            return ""  # not ours: use_sim_time, for one
        if is_configured and not spec.live:
            return (
                f"{spec.name} is read when the node is configured, which it is already: run "
                "`ros2 lifecycle set <node> deactivate` and `cleanup`, set it, and `configure` "
                "again"
            )
        if parameter.type_ == Parameter.Type.NOT_SET:
            return f"{spec.name} cannot be removed"
        return spec.problem(parameter.value)

    def _given(self) -> Iterable[str]:
        return self._node._parameter_overrides  # rclpy has no other way to ask for them

    def _declare_one(self, spec: Spec) -> str:
        override = self._node._parameter_overrides.get(spec.name)
        given = None if override is None else override.value  # None: an empty list of any type
        problem = ""
        if given is not None:
            given = given if isinstance(given, SCALARS) else list(given)
            problem = spec.type_problem(given) or spec.problem(given)
        is_empty = spec.is_list and (problem or not given)
        self._node.declare_parameter(
            spec.name,
            LIST_TYPES.get(spec.default, spec.default),
            descriptor_of(spec),
            ignore_override=bool(problem) or is_empty,
        )
        if is_empty:  # of its type: one that is not set is left out by `ros2 param dump`
            empty = Parameter(spec.name, LIST_TYPES[spec.default], [])
            self._node.set_parameters([empty])
        return problem

    def _say(self, problem: str) -> None:
        self._node.get_logger().error(f"parameter refused: {problem}")

    def _on_set(self, parameters: list[Parameter]) -> None:
        """A value that was accepted takes the place of a bad one."""
        for parameter in parameters:
            self._bad.pop(parameter.name, None)


def descriptor_of(spec: Spec) -> ParameterDescriptor:
    """What `ros2 param describe` says of a parameter."""
    described = ParameterDescriptor(
        description=spec.description, dynamic_typing=spec.takes_any_type
    )
    described.additional_constraints = ", ".join(map(repr, spec.choices))
    if spec.limits and isinstance(spec.default, float):
        described.floating_point_range = [
            FloatingPointRange(from_value=spec.limits[0], to_value=spec.limits[1])
        ]
    elif spec.limits:
        described.integer_range = [
            IntegerRange(from_value=int(spec.limits[0]), to_value=int(spec.limits[1]))
        ]
    return described
