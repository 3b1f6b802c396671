"""Parameters that were set and that nobody reads: a limit with a typo limits nothing."""

from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

# What every node has, or may have, without asking: rclpy's own.
OF_ROS = ("use_sim_time", "start_type_description_service")
PREFIXES_OF_ROS = ("qos_overrides.",)


def is_of_ros(name: str) -> bool:
    """Whether a parameter is one of ROS's, not of this node."""
    return name in OF_ROS or name.startswith(PREFIXES_OF_ROS)


def unknown_problem(
    name: str, known: Collection[str], members: Mapping[str, tuple[str, list[str]]]
) -> str:
    """What to do with a name that is no parameter.

    Args:
        name: that was set.
        known: names of all parameters, those of the cameras among them.
        members: for each group, as "camera", the parameter that names its members, and these.
    """
    text = f"{name} is no parameter of this node"
    group, _, rest = name.partition(".")
    member, _, field = rest.partition(".")
    listed, names = members.get(group, ("", []))
    if listed and field and member not in names:
        return f"{text}: `{listed}` names {names}, and not {member!r}. Name it there, or leave it"
    return (
        f"{text}; the nearest one is {nearest(name, known)}. Correct it in the params file and "
        "start the node again; what is meant for another node stands under that node's name"
    )


def nearest(name: str, known: Collection[str]) -> str:
    """The most similar name; without a group, `transport` is near to `camera.front.transport`."""
    last = name.rpartition(".")[2]

    def likeness(other: str) -> float:
        whole = SequenceMatcher(None, name, other).ratio()
        parts = SequenceMatcher(None, last, other.rpartition(".")[2]).ratio()
        return whole + parts

    return max(sorted(known), key=likeness)
