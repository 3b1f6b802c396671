"""The picture shows the frames round the events, the chunks over what was, and the reasons."""

from dataclasses import replace

import numpy as np
import pytest
from demo.conftest import START_NS
from PIL import Image

from cls_vla_ros.demo.picture import draw
from cls_vla_ros.demo.shown import Shown, read_shown
from cls_vla_ros.robot.parameters.params_file import parameters_of

BEFORE, AFTER = (250, 0, 250), (0, 250, 250)
RED = (214, 39, 40)


@pytest.fixture
def shown():
    pair = tuple(np.full((48, 64, 3), colour, np.uint8) for colour in (BEFORE, AFTER))
    stamps = START_NS / 1e9 + np.linspace(0.0, 0.6, 20)
    return Shown([pair, (None, None), pair], stamps, {"pan": np.sin(np.arange(20.0))})


def colours(recorded, shown, path) -> np.ndarray:
    draw(recorded, shown, path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)


def pixels_near(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((np.abs(picture - colour).max(1) < 12).sum())


def orange(picture: np.ndarray) -> int:
    """Pixels of the chunks, which fade; the latency's are of that hue too."""
    red, green, blue = picture.T
    return int(((red > 240) & (green < 240) & (blue < green - 10)).sum())


def test_frames_chunks_and_reasons_are_in_it(recorded, shown, tmp_path):
    recorded.scene_changes[2].reason = 5
    picture = colours(recorded, shown, tmp_path / "a.png")
    for colour in (BEFORE, AFTER):
        assert pixels_near(picture, colour) > 5000
    fewer = replace(recorded, chunks=recorded.chunks[:1])
    assert orange(picture) > orange(colours(fewer, shown, tmp_path / "f.png")) + 100
    without = replace(shown, positions={})
    assert pixels_near(picture, RED) > pixels_near(
        colours(replace(recorded, scene_changes=[m for m in recorded.scene_changes
                                                 if m.reason != 5]),
                without, tmp_path / "b.png"), RED)  # fmt: skip


def test_no_labels_no_strip_and_no_inferences_no_fault(recorded, shown, tmp_path):
    without = replace(recorded, events=[], reset_ns=None)
    assert not pixels_near(colours(without, shown, tmp_path / "a.png"), BEFORE)
    nothing = replace(without, scene_changes=[], chunks=[])
    assert len(colours(nothing, shown, tmp_path / "b.png")) > 10_000


def test_the_frames_round_an_event_come_out_of_the_recording(make_bag, params_file):
    made = make_bag(frames=8, events=[(3, "object_moved", True), (5, "light_dimmed", False)])
    events = [{"stamp_ns": START_NS + f * 50_000_000} for f in (3, 5, 400)]
    with parameters_of(params_file, {}) as parameters:
        shown = read_shown(made.path, parameters, events)
    for pair, frame in zip(shown.pairs, (3, 5), strict=False):
        for picture, index in zip(pair, (frame - 1, frame), strict=True):
            assert np.array_equal(picture, made.fronts[index])
    assert shown.pairs[2] == (None, None)
    assert shown.stamps_s.shape == shown.positions["shoulder"].shape == (8,)
    assert np.ptp(shown.positions["shoulder"]) > 0.1
