"""What differs between two reports of one recording is named, and times are not compared."""

import copy
import json

import pytest

from cls_vla_ros.demo.against import Tolerance, differences, read_report


def inference(time_s: float, similarity, decision="as predicted", action=(0.1, 0.2)) -> dict:
    return {"time_s": time_s, "similarity": similarity, "decision": decision,
            "first_action": list(action), "total_ms": 10.0}  # fmt: skip


@pytest.fixture
def report() -> dict:
    return {
        "recording": "bag",
        "inferences": [
            inference(0.1, None, "no history"),
            inference(0.2, 0.9),
            inference(0.3, 0.2, "scene changed"),
            inference(0.4, None, "reused"),
        ],
        "summary": {
            "labelled_changes": [{"kind": "object_moved", "time_s": 0.25, "seen_after_s": 0.05}]
        },
    }


def test_the_same_is_the_same_whatever_it_took(report):
    other = copy.deepcopy(report)
    for i in other["inferences"]:
        i["total_ms"] *= 3
    other["inferences"][1]["similarity"] += 0.009
    other["inferences"][1]["first_action"][0] -= 0.009
    other["summary"]["labelled_changes"][0]["seen_after_s"] = 0.1
    assert not differences(report, other, Tolerance())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda i: i[1].update(similarity=0.88),
            "1 times the similarity differs by more than",
        ),
        (lambda i: i[3].update(first_action=[0.1, 0.5]), "first action differs by more than 0.01"),
        (lambda i: i[3].update(first_action=[0.1]), "first action differs"),
        (lambda i: i[1].update(similarity=None), "0.20 s: 0.9, now None"),
        (lambda i: i[2].update(decision="as predicted"), "1 of 4 decisions differ, at most 0 may"),
        (lambda i: i.pop(), "only the one before has an inference"),
        (lambda i: i.append(inference(0.5, 0.9)), "0.50 s: only this one has an inference"),
    ],
)
def test_each_difference_is_named(report, change, words):
    other = copy.deepcopy(report)
    change(other["inferences"])
    (text,) = differences(report, other, Tolerance())
    assert words in text


def test_a_share_of_the_decisions_may_differ(report):
    other = copy.deepcopy(report)
    other["inferences"][2]["decision"] = "as predicted"
    assert not differences(report, other, Tolerance(decisions=0.25))


def test_a_change_that_is_no_longer_seen_is_named(report):
    other = copy.deepcopy(report)
    other["summary"]["labelled_changes"][0]["seen_after_s"] = None
    assert differences(report, other, Tolerance()) == [
        "object_moved at 0.25 s was seen, and is no longer"
    ]


def test_another_recording_is_not_compared(report):
    assert "two recordings" in differences(report, report | {"recording": "x"}, Tolerance())[0]


def test_what_is_no_report_is_said(tmp_path, report):
    with pytest.raises(FileNotFoundError, match="--out DIR"):
        read_report(tmp_path / "none.json")
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"inferences": [{"time_s": 1}]}))
    with pytest.raises(ValueError, match="KeyError: 'similarity'"):
        read_report(file)
    file.write_text(json.dumps(report))
    assert read_report(file) == report
