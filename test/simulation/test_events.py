import json
from pathlib import Path

import numpy as np
import pytest

from cls_vla_ros.simulation.events import (
    KINDS,
    LENGTHS,
    MOVES_M,
    LightDimmed,
    ObjectMoved,
    Occluder,
    labels_of,
    random_disturbance,
    random_disturbances,
    standard_disturbances,
)
from cls_vla_ros.simulation.tasks import HEIGHT, WIDTH

ROOT = Path(__file__).parents[2]
STEP_S = 0.0125


@pytest.fixture
def pictures():
    random = np.random.default_rng(0)
    size = (HEIGHT, WIDTH, 3)
    return {n: random.integers(0, 256, size, dtype=np.uint8) for n in ("front", "wrist")}


def test_the_standard_events_have_the_labels_of_the_demos_recording():
    """Frame, stamp, kind and meaning: what reads one reads the other."""
    demo = json.loads((ROOT / "bags" / "demo.labels.json").read_text())
    labels = labels_of("drawer-open-v3", 1, 120, STEP_S, standard_disturbances(120))
    for name in ("task", "seed", "frames", "frame_period_ns", "events"):
        assert labels[name] == demo[name]


@pytest.mark.parametrize("seed", range(60))
def test_random_events_follow_one_another_inside_the_episode(seed):
    frames = 40 + 3 * seed
    some = random_disturbances(np.random.default_rng(seed), frames)
    events = labels_of("drawer-open-v3", seed, 10**6, STEP_S, some)["events"]
    kinds = [d.kind for d in some]
    assert 1 <= len(kinds) == len(set(kinds))
    ends = [d.frame + getattr(d, "length", 0) for d in some]
    assert all(end < d.frame for end, d in zip(ends, some[1:], strict=False))
    assert [e["frame"] for e in events] == sorted(e["frame"] for e in events)
    assert events[0]["frame"] > 0
    assert events[-1]["frame"] < frames
    for disturbance in some:
        if isinstance(disturbance, ObjectMoved):
            distance = np.hypot(disturbance.dx_m, disturbance.dy_m)
            assert MOVES_M[0] <= distance <= MOVES_M[1]
        else:
            assert 1 <= disturbance.length <= LENGTHS[1]


def test_random_events_are_the_seeds():
    def drawn(seed):
        return random_disturbances(np.random.default_rng(seed), 120)

    assert drawn(3) == drawn(3)
    all_drawn = [drawn(seed) for seed in range(30)]
    assert len({str(some) for some in all_drawn}) == 30
    assert {d.kind for some in all_drawn for d in some} == set(KINDS)
    shapes = {d.shape for some in all_drawn for d in some if isinstance(d, Occluder)}
    assert shapes == {"ellipse", "rectangle"}


def test_an_episode_that_is_too_short_for_events_is_refused():
    with pytest.raises(ValueError, match="at least 40 frames, got 20"):
        random_disturbances(np.random.default_rng(0), 20)


def test_events_after_the_recordings_end_are_left_out():
    some = [ObjectMoved(5, 0.1, 0.0), Occluder(15, 10), LightDimmed(40, 10, 20)]
    labels = labels_of("drawer-open-v3", 1, 20, STEP_S, some)
    assert [e["kind"] for e in labels["events"]] == ["object_moved", "occluder_in"]
    assert [d["of"] for d in labels["disturbances"]] == ["object", "occluder"]
    json.dumps(labels, allow_nan=False)


def test_an_occluder_is_in_the_front_picture_while_it_is_there(pictures):
    for seed in range(20):
        occluder = random_disturbance(np.random.default_rng(seed), "occluder", 10, 5)
        for frame, is_there in ((9, False), (10, True), (14, True), (15, False)):
            changed = occluder.change(pictures, frame)
            covered = (changed["front"] != pictures["front"]).any(axis=2).mean()
            assert (0.03 < covered < 0.6) == is_there
            assert (covered == 0) != is_there
            assert changed["wrist"] is pictures["wrist"]


def test_dimmed_light_is_in_both_pictures_and_keeps_the_scene(pictures):
    dimmed = LightDimmed(3, 2, 20)
    changed = dimmed.change(pictures, 4)
    for name, picture in pictures.items():
        np.testing.assert_array_equal(changed[name], (picture * 0.8).astype(np.uint8))
    assert dimmed.change(pictures, 5) is pictures
    assert not any(event["scene_change"] for event in dimmed.events())
