import json
import math
from dataclasses import replace

import pytest
from PIL import Image

from cls_vla_ros.demo.report import Recorded, decision_of, draw, make_report
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.output.stamps import to_time

START_NS = 1_700_000_000 * 10**9
EVENTS = [
    {"stamp_ns": START_NS + 25 * 10**7, "kind": "object_moved", "scene_change": True},
    {"stamp_ns": START_NS + 42 * 10**7, "kind": "occluder_in", "scene_change": True},
    {"stamp_ns": START_NS + 43 * 10**7, "kind": "light_dimmed", "scene_change": False},
]


def scene_change(number: int, episode: int, similarity: float) -> SceneChange:
    message = SceneChange(
        inference_id=int(number), episode=episode, similarity=similarity, threshold=0.5
    )
    message.header.stamp = to_time(START_NS + round(number * 10**8))
    message.has_history = not math.isnan(similarity)
    message.should_cache = not message.has_history or similarity > 0.5
    message.scene_changed = not message.should_cache
    message.evaluated = True
    message.prefix_ms, message.denoise_ms, message.total_ms = 1.0, 2.0, 10.0 * number
    return message


@pytest.fixture
def recorded() -> Recorded:
    changes = [
        scene_change(*v)
        for v in ((1, 1, math.nan), (2, 1, 0.9), (3, 1, 0.2), (4, 2, math.nan), (5, 2, 0.8))
    ]
    chunks = [ActionChunk(inference_id=m.inference_id, episode=m.episode) for m in changes]
    return Recorded(changes, chunks, START_NS + 35 * 10**7, START_NS, EVENTS, trained=True)


def labelled(recorded, tmp_path) -> dict:
    summary = make_report(recorded, tmp_path, "cpu")["summary"]
    delays = {c["kind"]: c["seen_after_s"] for c in summary["labelled_changes"]}
    return {"delays": delays, "false": summary["false_alarms_s"]}


def test_the_report_says_what_was_heard(recorded, tmp_path):
    report = make_report(recorded, tmp_path / "bag", "cpu")
    report = json.loads(json.dumps(report, allow_nan=False))  # valid JSON has no NaN
    assert report["problems"] == []
    assert report["device"] == "cpu"
    assert report["reset_s"] == pytest.approx(0.35)
    assert report["events"][0]["time_s"] == pytest.approx(0.25)
    assert report["summary"]["scene_changes"] == 1
    assert report["summary"]["latency_ms"]["median"] == 30.0
    assert [i["decision"] for i in report["inferences"]] == [
        decision_of(m) for m in recorded.scene_changes
    ]
    assert report["inferences"][0]["similarity"] is None
    assert report["note"] is None
    untrained = replace(recorded, trained=False)
    assert "untrained" in make_report(untrained, tmp_path / "bag", "cpu")["note"]


def test_a_labelled_change_is_seen_by_the_first_full_inference_that_shows_it(recorded, tmp_path):
    found = labelled(recorded, tmp_path)
    assert found == {
        "delays": {"object_moved": pytest.approx(0.05), "occluder_in": None},
        "false": [],
    }


def test_what_a_reused_prefix_says_is_nothing_new(recorded, tmp_path):
    seen, late = recorded.scene_changes[2], scene_change(4, 1, 0.1)
    seen.evaluated, seen.scene_changed, seen.prefix_reused = False, False, True
    assert decision_of(seen) == "reused"
    recorded.scene_changes[3:3] = [late]
    assert labelled(recorded, tmp_path)["delays"]["object_moved"] == pytest.approx(0.15)


def test_a_change_that_is_not_labelled_is_a_false_alarm(recorded, tmp_path):
    recorded.scene_changes[1].scene_changed = True
    assert labelled(recorded, tmp_path)["false"] == [pytest.approx(0.2)]
    # Once the change is in the prediction, nothing new is there to be seen.
    recorded.scene_changes[3:3] = [scene_change(3.4, 1, 0.1)]
    assert labelled(recorded, tmp_path)["false"] == [pytest.approx(0.2), pytest.approx(0.34)]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda r: r.chunks.pop(), "5 scene changes but 4 action chunks"),
        (lambda r: [setattr(m, "episode", 1) for m in r.scene_changes], "expected two"),
        (lambda r: setattr(r.scene_changes[3], "has_history", True), "had a history"),
        (lambda r: setattr(r.scene_changes[4], "has_history", False), "no similarity"),
        (lambda r: setattr(r.scene_changes[4], "evaluated", False), "no similarity"),
        (lambda r: (r.scene_changes.clear(), r.chunks.clear()), "expected two"),
    ],
)
def test_a_run_that_went_wrong_is_found_out(recorded, tmp_path, damage, said):
    damage(recorded)
    assert said in "; ".join(make_report(recorded, tmp_path, "cpu")["problems"])


def test_the_picture_is_drawn(recorded, tmp_path):
    draw(recorded, tmp_path / "similarity.png")
    with Image.open(tmp_path / "similarity.png") as picture:
        assert min(picture.size) > 500
        assert len(set(picture.convert("RGB").resize((60, 40)).tobytes())) > 20
