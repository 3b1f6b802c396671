"""What is known of one parameter."""

from collections.abc import Callable
from dataclasses import dataclass

Value = bool | int | float | str | list[str] | list[float]

SWITCH = {True: "on", False: "off"}
STRINGS, DOUBLES = list[str], list[float]  # defaults of lists, which are empty unless they are set


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in YAML; <name> stands for a camera's name.
        default: its value unless it is set; STRINGS or DOUBLES for a list that is empty unless it
            is set.
        description: what it does, with its unit.
        limits: smallest and largest value.
        choices: the values it may have.
        live: whether it can change while the node is configured; the others are read by
            `configure`.
        check: raises ValueError for a value that cannot be used. With it, any type may be set.

    A parameter whose choices are "on" and "off" takes a boolean too: YAML 1.1 makes one of an
    unquoted on or off, in a file, on the command line and in `ros2 param set`.
    """

    name: str
    default: Value | type
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[Value], None] | None = None

    @property
    def is_list(self) -> bool:
        return self.default in (STRINGS, DOUBLES)

    @property
    def default_value(self) -> Value:
        """The value that it has unless it is set."""
        return [] if self.is_list else self.default

    @property
    def is_switch(self) -> bool:
        return set(SWITCH.values()) <= set(self.choices)

    @property
    def takes_any_type(self) -> bool:
        return self.check is not None or self.is_switch

    def meant(self, value: Value) -> Value:
        """What a value stands for, which is the value itself but for a switch."""
        return SWITCH[value] if self.is_switch and isinstance(value, bool) else value

    def problem(self, value: Value) -> str:
        """Why the value, which has the right type, cannot be used; empty if it can."""
        value = self.meant(value)
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

    def type_problem(self, value: object) -> str:
        """Why the value has not the type that a ROS parameter's would need; empty if it has.

        ROS does not turn one type into another: 10 is no float.
        """
        if self.takes_any_type or _is_of(self.default, value):
            return ""
        text = f"{self.name} must be {_TYPE_NAMES[_type_of(self.default)]}, got {value!r}"
        kind = _type_of(self.default)
        if kind is float and _is_of(0, value):
            text += " (write it with a decimal point, as 10.0)"
        elif kind == DOUBLES and isinstance(value, list) and all(_is_number(v) for v in value):
            text += " (write each with a decimal point, as 10.0)"
        elif kind in (str, STRINGS) and not isinstance(value, (str, list)):
            text += " (write it in quotes)"
        return text


_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    str: "a text",
    STRINGS: "a list of texts",
    DOUBLES: "a list of numbers with decimal points",
}


def _type_of(default: Value | type):
    return default if default in (STRINGS, DOUBLES) else type(default)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of(default: Value | type, value: object) -> bool:
    kind = _type_of(default)
    if kind in (STRINGS, DOUBLES):
        (element,) = kind.__args__
        return isinstance(value, list) and all(type(v) is element for v in value)
    return type(value) is kind
