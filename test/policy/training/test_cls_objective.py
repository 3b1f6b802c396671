import math

import pytest
import torch

from cls_vla_ros.policy.training.cls_objective import (
    MAX_LOG_SCALE,
    VICREG_MIN_ROWS,
    TooFewPairsError,
    info_nce,
    info_nce_2x2,
    vicreg,
)

LOG_SCALE = torch.tensor(math.log(5.0))


@pytest.fixture
def tokens():
    def make(rows, hidden=6, seed=0):
        random = torch.Generator().manual_seed(seed)
        return torch.randn(2, rows, hidden, generator=random).unbind()

    return make


def info_nce_by_hand(predicted, seen, scale, negatives):
    cosine = torch.cosine_similarity(predicted[:, None], seen[None], dim=-1).tolist()
    rows, losses = range(len(predicted)), []
    for i in rows:
        for at in (lambda j, i=i: cosine[i][j], lambda j, i=i: cosine[j][i]):
            own = math.exp(scale * at(i))
            others = sum(math.exp(scale * at(j)) for j in rows if negatives[i][j])
            losses.append(-math.log(own / (own + others)))
    return sum(losses) / len(losses)


def test_info_nce_is_its_formula(tokens):
    predicted, seen = tokens(5)
    negatives = torch.tensor([0, 0, 1, 2, 2])[:, None] != torch.tensor([0, 0, 1, 2, 2])
    loss, metrics = info_nce(predicted, seen, LOG_SCALE, negatives, None)
    by_hand = info_nce_by_hand(predicted, seen, 5.0, negatives.tolist())
    assert loss.item() == pytest.approx(by_hand, abs=1e-5)
    assert metrics["cls_loss"] == loss.item()
    assert metrics["cls_similarity"] == pytest.approx(
        torch.cosine_similarity(predicted, seen, dim=-1).mean().item()
    )


def test_what_is_no_negative_does_not_count(tokens):
    predicted, seen = tokens(4)
    alike = ~torch.eye(4, dtype=torch.bool)
    alike[0, 1] = alike[1, 0] = False
    before = info_nce(predicted[:2], seen[:2], LOG_SCALE, ~torch.eye(2).bool(), None).loss
    without = info_nce(predicted, seen, LOG_SCALE, alike, None).loss
    both = info_nce(predicted, seen, LOG_SCALE, ~torch.eye(4).bool(), None).loss
    assert without < both
    assert before > 0


def test_predictions_that_are_right_are_accurate():
    seen = torch.eye(4)
    negatives = ~torch.eye(4, dtype=torch.bool)
    right = info_nce(seen, seen, LOG_SCALE, negatives, None)
    wrong = info_nce(seen.roll(1, 0), seen, LOG_SCALE, negatives, None)
    assert right.metrics["cls_accuracy"] == 1.0
    assert wrong.metrics["cls_accuracy"] == 0.0
    assert right.loss < wrong.loss


def test_the_scale_is_learned_and_bounded(tokens):
    predicted, seen = tokens(4)
    negatives = ~torch.eye(4, dtype=torch.bool)
    log_scale = torch.tensor(1.0, requires_grad=True)
    info_nce(predicted, seen, log_scale, negatives, None).loss.backward()
    assert log_scale.grad != 0
    at_most, beyond = (
        info_nce(predicted, seen, torch.tensor(value), negatives, None).loss
        for value in (MAX_LOG_SCALE, MAX_LOG_SCALE + 3)
    )
    assert at_most == beyond


def test_a_batch_of_one_episode_says_what_to_do(tokens):
    with pytest.raises(TooFewPairsError, match="at least two episodes"):
        info_nce(*tokens(3), LOG_SCALE, torch.zeros(3, 3, dtype=torch.bool), None)


def test_2x2_is_info_nce_with_the_patched_scenes_as_hard_negatives(tokens):
    predicted, seen = tokens(6)  # three scenes, and the same with a patch
    unlike = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    disturbed = torch.tensor([True, True, False])
    loss, metrics = info_nce_2x2(predicted, seen, LOG_SCALE, unlike, disturbed)
    negatives = unlike.repeat(2, 2)
    for scene in (0, 1):
        negatives[scene, scene + 3] = negatives[scene + 3, scene] = True
    assert loss.item() == pytest.approx(
        info_nce_by_hand(predicted, seen, 5.0, negatives.tolist()), abs=1e-5
    )
    hard = [(0, 3), (3, 0), (1, 4), (4, 1)]
    expected = [torch.cosine_similarity(predicted[i], seen[j], dim=0).item() for i, j in hard]
    assert metrics["cls_negative_similarity"] == pytest.approx(sum(expected) / 4, abs=1e-6)


def test_2x2_falls_where_the_disturbed_scene_looks_different():
    scenes = torch.eye(4)[:2]
    patched = torch.eye(4)[2:]
    unlike = ~torch.eye(2, dtype=torch.bool)
    everywhere = torch.tensor([True, True])
    blind = info_nce_2x2(
        torch.cat([scenes, scenes]), torch.cat([scenes, scenes]), LOG_SCALE, unlike, everywhere
    )
    seeing = info_nce_2x2(
        torch.cat([scenes, patched]), torch.cat([scenes, patched]), LOG_SCALE, unlike, everywhere
    )
    assert seeing.loss < blind.loss
    assert seeing.metrics["cls_accuracy"] == 1.0


def test_vicreg_is_its_formula(tokens):
    predicted, seen = tokens(10)
    predicted, seen = predicted * 0.5, seen * 0.3
    rows, hidden = predicted.shape
    expected = 25 * ((predicted - seen) ** 2).sum() / (rows * hidden)
    for z in (predicted, seen):
        centred = z - z.mean(0)
        covariance = centred.T @ centred / (rows - 1)
        std = (covariance.diagonal() + 1e-4).sqrt()
        expected = expected + 25 / 2 * (1 - std).clamp(min=0).sum() / hidden
        off_diagonal = covariance**2
        off_diagonal.fill_diagonal_(0)
        expected = expected + off_diagonal.sum() / hidden
    assert vicreg(predicted, seen).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_vicreg_needs_rows_for_its_covariance(tokens):
    assert vicreg(*tokens(VICREG_MIN_ROWS)).loss.isfinite()
    with pytest.raises(TooFewPairsError, match=rf"at least {VICREG_MIN_ROWS}.*--batch_size"):
        vicreg(*tokens(VICREG_MIN_ROWS - 1))
