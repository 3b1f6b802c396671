"""Training the glance, on the pairs of frames that the CLS objective looks at.

Of each pair there are four comparisons: nothing changed, without and with what was pasted; it
came; it went. The first two are ordinary, however the arm moved and whatever camera and light did
in between; in the others the places that differ are known to the pixel. (Learning from these was
preferred to distilling the trained gate's similarity, which says of a whole scene what here is
known of each place.)
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cls_vla_ros.policy.glance import COLUMNS, ROWS, Glance, standardised

# Mean absolute change of a place, of 1, from which it counts as changed, and below which as the
# same; nothing is learned from what is between.
CHANGED, SAME = 0.02, 0.004


class Changes(NamedTuple):
    """What a batch of views shows, of M pairs and C cameras; see `make_views`.

    Attributes:
        views: (4, M, C, 3, height, width): then, then changed, now, now changed; disturbed.
        differences: (2, M, C, height, width): by how much the change changes then and now, before
            they were disturbed; mean over colours.
        states: (2, M, S): then and now, normalised.
    """

    views: Tensor
    differences: Tensor
    states: Tensor


def glance_loss(glance: Glance, changes: Changes) -> tuple[Tensor, dict[str, float]]:
    """Binary cross-entropy of each place, and of each picture by its most suspicious place.

    Args:
        glance: to train.
        changes: of a batch.

    Returns:
        The loss, and what lerobot logs: glance_loss, glance_recall and glance_false_alarms, both
        of pictures at 0.5.
    """
    then, then_changed, now, now_changed = standardised(changes.views)
    before, after = (
        F.adaptive_avg_pool2d(difference, (ROWS, COLUMNS)) for difference in changes.differences
    )  # (M, C, 12, 16)
    nothing = torch.zeros_like(before)
    state_then, state_now = changes.states
    logits = glance(
        torch.cat([then, then_changed, then, then_changed]),
        torch.cat([now, now_changed, now_changed, now]),
        state_then.repeat(4, 1),
        state_now.repeat(4, 1),
        range(then.shape[1]),
    )  # (4 M, C, 12, 16)
    change = torch.cat([nothing, nothing, after, before])
    is_changed, is_same = change > CHANGED, change < SAME
    counts = is_changed | is_same
    places = F.binary_cross_entropy_with_logits(logits[counts], is_changed[counts].float())
    worst, any_changed = logits.amax(dim=(2, 3)), is_changed.flatten(2).any(2)
    certain = any_changed | is_same.flatten(2).all(2)
    pictures = F.binary_cross_entropy_with_logits(worst[certain], any_changed[certain].float())
    loss = places + pictures
    with torch.no_grad():
        fires = worst > 0
        ordinary = certain & ~any_changed
        log = {
            "glance_loss": loss.item(),
            "glance_recall": fires[any_changed].float().mean().item(),
            "glance_false_alarms": fires[ordinary].float().mean().item(),
        }
    return loss, log
