import pytest
import torch

from cls_vla_ros.policy.glance import Glance
from cls_vla_ros.policy.training.glance_training import Changes, glance_loss


def changes(seed=0, pairs=16, cameras=2) -> Changes:
    """The arm is a square in one of four places, the state says in which; another one comes."""
    generator = torch.Generator().manual_seed(seed)
    background = torch.linspace(0.4, 0.9, 64).expand(pairs, cameras, 3, 48, 64)
    states = torch.randint(0, 4, (2, pairs, 1), generator=generator).float()
    # Where the arm is neither then nor now.
    free = [next(p for p in (0, 1, 2) if p not in both) for both in states[..., 0].T.tolist()]

    def put(frame, row, place):
        frame[row, ..., 20:32, 16 * int(place) + 2 : 16 * int(place) + 14] = 0.05

    views, differences = [], []
    for state in states:
        frame = background.clone()
        for row in range(pairs):
            put(frame, row, state[row])
        changed = frame.clone()
        for row in range(pairs):
            put(changed, row, free[row])
        views += [frame, changed]
        differences.append((changed - frame).abs().mean(2))
    return Changes(torch.stack(views), torch.stack(differences), states)


@pytest.fixture(scope="module")
def trained() -> Glance:
    torch.manual_seed(0)
    glance = Glance(1, 2, 16)
    optimizer = torch.optim.AdamW(glance.parameters(), 5e-3)
    for step in range(150):
        loss, _ = glance_loss(glance, changes(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return glance


def test_it_learns_to_tell_what_came_from_an_arm_that_moved(trained):
    loss, log = glance_loss(trained, changes(10_000))
    assert set(log) == {"glance_loss", "glance_recall", "glance_false_alarms"}
    assert log["glance_loss"] == pytest.approx(loss.item())
    assert log["glance_recall"] > 0.9
    assert log["glance_false_alarms"] < 0.1
    untrained = glance_loss(Glance(1, 2, 16), changes(10_000))[0]
    assert loss < untrained / 3


def test_without_the_states_the_arm_would_be_a_change(trained):
    of = changes(10_001)
    blind = of._replace(states=of.states[:1].expand(2, -1, -1))  # as if it had stood still
    assert glance_loss(trained, blind)[0] > 1.5 * glance_loss(trained, of)[0]


def test_what_is_neither_changed_nor_the_same_teaches_nothing():
    glance = Glance(1, 2, 8)
    of = changes(1)
    unsure = of._replace(differences=torch.full_like(of.differences, 0.01))
    loss, log = glance_loss(glance, unsure)
    loss.backward()  # from the two comparisons without a change alone
    assert torch.isnan(torch.tensor(log["glance_recall"]))
    same = of._replace(differences=torch.zeros_like(of.differences))
    assert glance_loss(glance, same)[0] != loss
