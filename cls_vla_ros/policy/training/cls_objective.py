"""What makes CLS tokens know a scene: losses on predicted and seen tokens, in plain torch.

Every loss takes what token 1 predicted at t and what token 0 saw at t + k, the same row of both
being a pair of one episode and one undisturbed scene. M rows, H hidden.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

OBJECTIVES = ("infonce_2x2", "infonce", "vicreg")

# CLIP starts its scale at 1 / 0.07 and keeps it below 100 (Radford et al. 2021, section 2.5).
INITIAL_LOG_SCALE = math.log(1 / 0.07)
MAX_LOG_SCALE = math.log(100)

# VICReg's weights and constants: Bardes, Ponce, LeCun, "VICReg" (ICLR 2022), section 4.2.
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
TARGET_STD, VARIANCE_EPS = 1.0, 1e-4
# A covariance of n rows has a rank of at most n - 1, and it is noise where that is a handful.
VICREG_MIN_ROWS = 8


class TooFewPairsError(ValueError):
    """A batch holds too little for an objective."""


class Objective(NamedTuple):
    """A loss, and what can be said about it in a log.

    Attributes:
        loss: scalar.
        metrics: cls_loss, cls_similarity (mean cosine of the pairs) and, where there are
            negatives, cls_accuracy (share of predictions that are nearest to what was seen) and
            cls_negative_similarity.
    """

    loss: Tensor
    metrics: dict[str, float]


def info_nce(
    predicted: Tensor, seen: Tensor, log_scale: Tensor, negatives: Tensor, hard: Tensor | None
) -> Objective:
    """Which of the seen tokens belongs to a prediction, and the other way round.

    With s_ij = exp(log_scale) cos(predicted_i, seen_j) and N_i the negatives of i, the loss is the
    mean over i and over both directions (s and its transpose) of

        -log( exp(s_ii) / (exp(s_ii) + sum over j in N_i of exp(s_ij)) ).

    InfoNCE: van den Oord, Li, Vinyals, "Representation learning with contrastive predictive
    coding" (2018), equation 4; symmetric and with a learned scale as in Radford et al., "Learning
    transferable visual models from natural language supervision" (2021), figure 3.

    Args:
        predicted: (M, H).
        seen: (M, H).
        log_scale: scalar, learned; above MAX_LOG_SCALE it counts as that.
        negatives: (M, M) bool, symmetric, False on the diagonal: which j are negatives of i. Not
            those of the same episode, which may look the same.
        hard: (M, M) bool, which of the negatives `cls_negative_similarity` is about; None for all.

    Raises:
        TooFewPairsError: no row has a negative: there is nothing to learn from.
    """
    if not negatives.any():
        raise TooFewPairsError(
            f"none of the {len(predicted)} pairs of the batch has a negative: a batch must hold "
            "frames of at least two episodes. Use a larger --batch_size, and a dataset of several "
            "episodes"
        )
    cosine = _cosines(predicted, seen)  # (M, M)
    scale = log_scale.clamp(max=MAX_LOG_SCALE).exp()
    itself = torch.eye(len(cosine), dtype=torch.bool, device=cosine.device)
    logits = (scale * cosine).masked_fill(~(negatives | itself), -math.inf)
    target = torch.arange(len(cosine), device=cosine.device)
    loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    with torch.no_grad():
        metrics = {
            "cls_loss": loss.item(),
            "cls_accuracy": (logits.argmax(1) == target).float().mean().item(),
            "cls_similarity": cosine.diagonal().mean().item(),
            "cls_negative_similarity": cosine[negatives if hard is None else hard].mean().item(),
        }
    return Objective(loss, metrics)


def info_nce_2x2(
    predicted: Tensor,
    seen: Tensor,
    log_scale: Tensor,
    different_episodes: Tensor,
    disturbed: Tensor,
) -> Objective:
    """InfoNCE on scenes and the same scenes with something pasted into them.

    The rows are M / 2 scenes as they are, then the same ones with a patch. The patch is in both
    frames of a pair, so a pair is a positive with it and without it. A prediction from the scene
    without it and the frame with it are a hard negative, and the other way round: something came,
    or went. So, beside the negatives of the batch, each scene is a 2 x 2 table whose diagonal must
    be larger. This is `info_nce` with hard negatives (Kalantidis et al., "Hard negative mixing for
    contrastive learning", NeurIPS 2020, for why easy ones do not suffice).

    Args:
        predicted: (M, H), at t.
        seen: (M, H), at t + k.
        log_scale: scalar, learned.
        different_episodes: (M / 2, M / 2) bool, of the scenes.
        disturbed: (M / 2,) bool, where the patch can be seen at all.

    Raises:
        TooFewPairsError: no row has a negative.
    """
    own = torch.diag(disturbed)  # (M / 2, M / 2): the same scene, with against without the patch
    unlike, none = different_episodes, torch.zeros_like(own)
    negatives = _blocks(unlike, unlike | own)
    return info_nce(predicted, seen, log_scale, negatives, _blocks(none, own))


def vicreg(predicted: Tensor, seen: Tensor) -> Objective:
    """Variance, invariance, covariance: pairs are alike, and no two dimensions say the same.

    With z = predicted, z' = seen and n = M, d = H, as in the authors' code (the invariance is a
    mean over dimensions too):

        loss = 25 s(z, z') + 25 (v(z) + v(z')) / 2 + 1 (c(z) + c(z'))
        s = 1 / (n d) sum (z - z')^2
        v = 1 / d sum over j of max(0, 1 - sqrt(Var(z_j) + 1e-4))
        c = 1 / d sum over i != j of Cov(z)_ij^2, with n - 1 in the covariance's denominator.

    Bardes, Ponce, LeCun, "VICReg: variance-invariance-covariance regularization for
    self-supervised learning" (ICLR 2022), equations 1 to 6. It has no negatives, so nothing in it
    says that a disturbed scene is another one.

    Args:
        predicted: (M, H).
        seen: (M, H).

    Raises:
        TooFewPairsError: M is below VICREG_MIN_ROWS.
    """
    rows = len(predicted)
    if rows < VICREG_MIN_ROWS:
        raise TooFewPairsError(
            f"VICReg's covariance needs at least {VICREG_MIN_ROWS} pairs in a batch, got {rows} "
            "(pairs that reach beyond their episode's end do not count). Use a larger "
            "--batch_size, or another --policy.cls_objective"
        )
    invariance = F.mse_loss(predicted, seen)
    variance = (_too_little_variance(predicted) + _too_little_variance(seen)) / 2
    covariance = _correlation(predicted) + _correlation(seen)
    loss = INVARIANCE * invariance + VARIANCE * variance + COVARIANCE * covariance
    similarity = F.cosine_similarity(predicted.detach(), seen.detach(), dim=-1).mean()
    return Objective(loss, {"cls_loss": loss.item(), "cls_similarity": similarity.item()})


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def _blocks(like: Tensor, unlike: Tensor) -> Tensor:
    """[[like, unlike], [unlike, like]]."""
    return torch.cat([torch.cat([like, unlike], 1), torch.cat([unlike, like], 1)], 0)


def _too_little_variance(z: Tensor) -> Tensor:
    return F.relu(TARGET_STD - (z.var(dim=0) + VARIANCE_EPS).sqrt()).mean()


def _correlation(z: Tensor) -> Tensor:
    covariance = torch.cov(z.T)  # (H, H)
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    return off_diagonal.square().sum() / z.shape[1]
