import pytest
import torch

from cls_vla_ros.policy.training.cls_pairs import (
    draw_pairs,
    frame_deltas,
    on_stale_prefixes,
    own_frame,
    pair_deltas,
)

PAD = "observation.images.front_is_pad"


@pytest.mark.parametrize(
    ("pair_steps", "deltas"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])],
)
def test_deltas_reach_from_the_previous_frame_to_the_first_wanted(pair_steps, deltas):
    assert pair_deltas(pair_steps) == deltas
    assert frame_deltas(pair_steps) == [*(-delta for delta in deltas), 0]


def batch_of(pad, episodes):
    return {PAD: torch.tensor(pad, dtype=torch.bool), "episode_index": torch.tensor(episodes)}


def test_no_frame_before_an_episodes_begin_is_taken():
    batch = batch_of([[0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]] * 20, [4, 5, 6] * 20)
    pairs = draw_pairs(batch, torch.Generator().manual_seed(0))
    assert set(pairs.rows.tolist()) == {row for row in range(60) if row % 3 != 2}
    assert set(pairs.earlier[pairs.rows % 3 == 0].tolist()) == {0, 1, 2}
    assert set(pairs.earlier[pairs.rows % 3 == 1].tolist()) == {0}
    assert torch.equal(pairs.episodes, batch["episode_index"][pairs.rows])


def test_a_batch_without_any_pair_is_empty():
    pairs = draw_pairs(batch_of([[1, 0], [1, 0]], [0, 1]))
    assert len(pairs.rows) == len(pairs.earlier) == len(pairs.episodes) == 0


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
    current = own_frame(batch, ["observation.images.front", "observation.images.still"])
    assert torch.equal(
        current["observation.images.front"], batch["observation.images.front"][:, -1]
    )
    assert torch.equal(current["observation.images.still"], batch["observation.images.still"])
    assert torch.equal(current["observation.state"], batch["observation.state"][:, -1])
    assert batch["observation.state"].ndim == 3


def stale_batch(rows=40):
    """Pictures and states that say their row and frame: 10 * row + frame."""
    number = 10.0 * torch.arange(rows)[:, None] + torch.arange(4)
    front = number[:, :, None, None, None].expand(-1, -1, 3, 2, 2)
    pad = torch.zeros(rows, 4, dtype=torch.bool)
    pad[::2, 0] = True
    pad[0] = torch.tensor([1, 1, 1, 0])  # the first frame of an episode
    return {
        "observation.images.front": front,
        "observation.images.wrist": front + 0.5,
        "observation.state": number[:, :, None],
        "episode_index": torch.arange(rows),
        PAD: pad,
    }


def test_a_stale_prefix_is_of_an_earlier_frame_and_the_state_is_not():
    batch = stale_batch()
    cameras = ["observation.images.front", "observation.images.wrist"]
    seen = on_stale_prefixes(batch, cameras, 1.0, torch.Generator().manual_seed(0))
    front, wrist = (seen[camera][:, 0, 0, 0] for camera in cameras)
    frames = front - 10 * torch.arange(40)
    assert frames[0] == 3  # it has no earlier one
    assert set(frames[1:].tolist()) == {0, 1, 2}
    assert 0 not in frames[2::2].tolist()
    assert torch.equal(wrist, front + 0.5)  # all cameras of a row are as old
    assert torch.equal(seen["observation.state"], batch["observation.state"][:, -1])
    assert batch["observation.images.front"].shape == (40, 4, 3, 2, 2)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_so_many_prefixes_are_stale(share):
    batch = stale_batch(400)
    seen = on_stale_prefixes(batch, ["observation.images.front"], share)
    fresh = seen["observation.images.front"] == batch["observation.images.front"][:, -1]
    assert (~fresh).float().mean().item() == pytest.approx(share, abs=0.1)
