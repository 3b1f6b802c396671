"""What is known of one parameter."""

from collections.abc import Callable
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.parameter import Parameter

Value = bool | int | float | str | list[str] | list[float]


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in YAML; <name> stands for a camera's name.
        default: its value unless it is set; a Parameter.Type for a list that is empty unless it is
            set.
        description: what it does, with its unit.
        limits: smallest and largest value.
        choices: the values it may have.
        live: whether it can change while the node is configured; the others are read by
            `configure`.
        check: raises ValueError for a value that cannot be used.
    """

    name: str
    default: Value | Parameter.Type
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[Value], None] | None = None

    def problem(self, value: Value) -> str:
        """Why the value cannot be used; empty if it can."""
        if self.limits and not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name} must be in [{self.limits[0]:g}, {self.limits[1]:g}], got {value}"
        if self.choices and value not in self.choices:
            return (
                f"{self.name} must be one of {', '.join(map(repr, self.choices))}, got {value!r}"
            )
        if self.check:
            try:
                self.check(value)
            except ValueError as error:
                return f"{self.name}: {error}"
        return ""

    def descriptor(self) -> ParameterDescriptor:
        described = ParameterDescriptor(
            description=self.description, dynamic_typing=self.check is not None
        )
        described.additional_constraints = ", ".join(map(repr, self.choices))
        if self.limits and isinstance(self.default, float):
            described.floating_point_range = [
                FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1])
            ]
        elif self.limits:
            described.integer_range = [
                IntegerRange(from_value=int(self.limits[0]), to_value=int(self.limits[1]))
            ]
        return described
