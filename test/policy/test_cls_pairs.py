import pytest
import torch

from cls_vla_ros.policy.cls_pairs import draw_pairs, last_frame, pair_deltas

PAD = "observation.images.front_is_pad"


@pytest.mark.parametrize(
    ("pair_steps", "deltas"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])],
)
def test_deltas_reach_from_the_next_frame_to_the_last_wanted(pair_steps, deltas):
    assert pair_deltas(pair_steps) == deltas


def batch_of(pad, episodes):
    return {PAD: torch.tensor(pad, dtype=torch.bool), "episode_index": torch.tensor(episodes)}


def test_no_frame_beyond_an_episodes_end_is_taken():
    batch = batch_of([[0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]] * 20, [4, 5, 6] * 20)
    pairs = draw_pairs(batch, torch.Generator().manual_seed(0))
    assert set(pairs.rows.tolist()) == {row for row in range(60) if row % 3 != 2}
    assert set(pairs.later[pairs.rows % 3 == 0].tolist()) == {0, 1, 2}
    assert set(pairs.later[pairs.rows % 3 == 1].tolist()) == {0}
    assert torch.equal(pairs.episodes, batch["episode_index"][pairs.rows])


def test_a_batch_without_any_pair_is_empty():
    pairs = draw_pairs(batch_of([[1, 0], [1, 0]], [0, 1]))
    assert len(pairs.rows) == len(pairs.later) == len(pairs.episodes) == 0


@pytest.mark.parametrize("lacking", [PAD, "episode_index"])
def test_a_batch_that_is_not_of_lerobots_dataset_is_refused(lacking):
    batch = batch_of([[0, 0]], [0])
    del batch[lacking]
    with pytest.raises(ValueError, match="cls_loss_weight=0"):
        draw_pairs(batch)


def test_stock_smolvla_gets_each_rows_own_frame():
    batch = {
        "observation.images.front": torch.rand(2, 3, 3, 4, 4),
        "observation.images.still": torch.rand(2, 3, 4, 4),
        "observation.state": torch.rand(2, 3, 5),
    }
    current = last_frame(batch, ["observation.images.front", "observation.images.still"])
    assert torch.equal(
        current["observation.images.front"], batch["observation.images.front"][:, -1]
    )
    assert torch.equal(current["observation.images.still"], batch["observation.images.still"])
    assert torch.equal(current["observation.state"], batch["observation.state"][:, -1])
    assert batch["observation.state"].ndim == 3
