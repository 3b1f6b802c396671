"""Which full inference shows which labelled change first, and whether it was noticed there.

Only that one can notice it: for those after it the change is in the prefix, and in what was
predicted from it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cls_vla_ros.recordings.episodes import Event, events_between


@dataclass(frozen=True)
class Look:
    """A full inference.

    Attributes:
        stamp_s: of the frame that it saw.
        spoke_up: whether the scene was taken for changed then.
    """

    stamp_s: float
    spoke_up: bool


@dataclass(frozen=True)
class Shown:
    """A labelled change, at the first full inference that shows it.

    Attributes:
        event: the label.
        caught: whether that inference spoke up.
        delay_s: from the first frame that shows the change to that inference, caught or not.
    """

    event: Event
    caught: bool
    delay_s: float


def match(
    looks: Iterable[Look], events: Sequence[Event], began_s: float
) -> tuple[list[Shown], list[float]]:
    """Match full inferences with the labels.

    Args:
        looks: in order.
        events: labels; those that are no change of the scene are left out.
        began_s: changes up to this time count for nothing.

    Returns:
        The changes that a full inference shows, in order, and the times of the inferences that
        spoke up without a change since the one before: false alarms.
    """
    changes = [event for event in events if event.scene_change]
    shown: list[Shown] = []
    false_alarms: list[float] = []
    before_s = began_s
    for look in looks:
        since = events_between(changes, before_s, look.stamp_s)
        shown += [Shown(event, look.spoke_up, look.stamp_s - event.stamp_s) for event in since]
        if look.spoke_up and not since:
            false_alarms.append(look.stamp_s)
        before_s = look.stamp_s
    return shown, false_alarms
