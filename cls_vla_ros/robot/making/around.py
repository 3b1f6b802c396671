"""What a running robot shows; plain values."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Controller:
    """One that takes commands.

    Attributes:
        name: for the parameters.
        topic: or action's name, relative.
        type: one of `outputs.TYPES`.
        joints: its own, in its order; empty if it does not say.
    """

    name: str
    topic: str
    type: str
    joints: list[str]


@dataclass
class Around:
    """Nothing, where no robot runs.

    Attributes:
        pictures: transport ("raw", "compressed") by topic.
        joint_states: names of joints by topic, as its messages have them.
        controllers: of commands.
        has_robot_description: whether there is a URDF.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    joint_states: dict[str, list[str]] = field(default_factory=dict)
    controllers: list[Controller] = field(default_factory=list)
    has_robot_description: bool = False
