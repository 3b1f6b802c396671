import json

import pytest
from PIL import Image

from cls_vla_ros.endurance.soak_report import Inferred, Sample, Soaked, draw, make_report

SECONDS, RATE_HZ = 100, 10


def soaked() -> Soaked:
    """A good run with one reset, which discarded an inference."""
    run = Soaked(resets=1)
    for tick in range(1, SECONDS * RATE_HZ):
        after_reset = tick > 500
        number = tick + after_reset
        run.inferences.append(Inferred(tick / RATE_HZ, number, 1 + after_reset, 20.0, 10.0))
        run.chunks.append((number, tick / RATE_HZ))
    run.samples = [Sample(float(second), 500.0, 0.5) for second in range(1, SECONDS + 1)]
    return run


def changed(run: Soaked, since: int, **fields) -> None:
    """The same run with other values in its inferences from that one on."""
    run.inferences[since:] = [
        Inferred(**(vars(inferred) | fields)) for inferred in run.inferences[since:]
    ]


def test_a_good_run_has_no_problems(tmp_path):
    report = json.loads(json.dumps(make_report(soaked()), allow_nan=False))
    assert report["problems"] == []
    assert report["episodes"] == 2
    assert len(report["tenths"]) == 10
    assert report["tenths"][3]["total_ms"] == 20.0
    assert report["tenths"][3]["rate_hz"] == pytest.approx(10.0)
    draw(soaked(), tmp_path / "soak.png")
    with Image.open(tmp_path / "soak.png") as picture:
        assert min(picture.size) > 500


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda r: changed(r, 900, total_ms=25.0), "total_ms drifts: median 20.0, in the end 25"),
        (lambda r: changed(r, 900, observation_age_ms=13.0), "observation_age_ms drifts"),
        (lambda r: r.samples.append(Sample(100.0, 506.0, 0.5)), "grows: by 6.0 MB"),
        (lambda r: r.inferences.pop(200), "1 inference_ids are missing"),
        (lambda r: r.chunks.pop(200), "1 inferences came without an action chunk"),
        (lambda r: r.chunks.__delitem__(slice(200, 215)), "no chunk for 1.6 s, 20 s after"),
        (lambda r: r.refused.update({"camera0/image": 3}), "3 messages refused: camera0/image"),
        (lambda r: setattr(r, "resets", 2), "2 episodes after 2 resets"),
        (lambda r: r.inferences.__delitem__(slice(300, None)), "3 of 10 parts"),
        (lambda r: r.samples.clear(), "0 of 10 parts"),
    ],
)
def test_what_went_wrong_is_said(damage, said):
    run = soaked()
    damage(run)
    assert said in "; ".join(make_report(run)["problems"])


def test_a_little_more_is_no_drift():
    run = soaked()
    changed(run, 900, total_ms=23.9, observation_age_ms=11.9)
    assert make_report(run)["problems"] == []
