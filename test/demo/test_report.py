import json
from dataclasses import replace

import pytest
from demo.conftest import scene_change

from cls_vla_ros.demo.report import decision_of, make_report


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
