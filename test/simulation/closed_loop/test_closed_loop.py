import json
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from cls_vla_ros.simulation.bag import encode_jpeg
from cls_vla_ros.simulation.closed_loop.closed_loop import (
    Kept,
    parse_args,
    plan,
    plan_timers,
    shares_of,
)
from cls_vla_ros.simulation.closed_loop.episode import (
    Run,
    Setup,
    as_the_node_sees,
    server_of,
)

RUN = Run("drawer-open-v3", 900, "none", "gated")


def result(run: Run, **values) -> dict:
    made = {"inferences": 11, "reused": 5, "reasons": {}, "success": False, "steps": None}
    return asdict(run) | made | values


def test_the_plan_has_every_rule_on_the_same_seeds():
    args = parse_args(["p", "--out", "o", "--seeds", "1:3", "7", "--tasks", "door-open-v3"])
    runs = plan(args)
    assert len(runs) == len(set(runs)) == 3 * 3 * 4
    assert {run.seed for run in runs[: 3 * 4]} == {1}


def test_each_matched_rule_and_number_of_steps_has_its_timers():
    line = ["p", "--out", "o", "--seeds", "1", "--tasks", "door-open-v3", "--num-steps", "10", "2"]
    line += ["--rules", "expert", "motion", "periodic", "timer_guard", "--match", "motion"]
    args = parse_args([*line, "--disturbances", "none", "object"])
    runs = plan(args)
    assert len(runs) == 2 * (1 + 2)  # the expert denoises nothing
    episodes = [result(r, reused=2 if r.num_steps == 2 else 5) for r in runs]
    timers = plan_timers(args, episodes)
    assert len(timers) == len(set(timers)) == 2 * 2 * 2
    assert [t.full_share for t in timers if t.num_steps == 2] == pytest.approx([0.8] * 4)
    assert {t.matched for t in timers} == {"motion"}


def test_periodic_without_gated_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_args(["p", "--out", "o", "--rules", "full", "periodic"])
    assert "give both" in capsys.readouterr().err


def test_the_share_of_the_gate_is_each_disturbances_own():
    moved = Run("drawer-open-v3", 900, "object", "gated")
    full = Run("drawer-open-v3", 900, "object", "full")
    shares = shares_of([result(RUN), result(moved, reused=8), result(full, reused=0)], ["gated"])
    assert shares == {
        ("gated", "none", 0): pytest.approx(0.5),
        ("gated", "object", 0): pytest.approx(0.2),
    }


def test_episodes_are_kept_for_the_same_setup_and_checkpoint_only(tmp_path):
    policy = tmp_path / "policy"
    policy.mkdir()
    for name in ("model.safetensors", "config.json"):
        (policy / name).write_text("1")
    setup, out = Setup(str(policy)), tmp_path / "out"
    kept = Kept(out, setup)
    kept.add(result(RUN, success=True))
    assert RUN in Kept(out, setup)
    assert Kept(out, setup).of([RUN])[0]["success"]
    assert Run("drawer-open-v3", 901, "none", "gated") not in Kept(out, setup)
    assert Run("drawer-open-v3", 900, "none", "gated", full_share=0.5) not in Kept(out, setup)
    assert RUN not in Kept(out, Setup(str(policy), execute=2))
    (policy / "model.safetensors").write_text("2")
    assert RUN not in Kept(out, setup)


def test_a_line_that_was_cut_off_does_not_count(tmp_path):
    kept = Kept(tmp_path, Setup("hub/id"))
    kept.add(result(RUN))
    (file,) = tmp_path.glob("*.jsonl")
    later = json.dumps(result(Run("drawer-open-v3", 901, "none", "gated")))
    with file.open("a") as end:
        end.write(later[:-9])
    assert RUN in Kept(tmp_path, Setup("hub/id"))
    assert len(file.read_text().splitlines()) == 1


def test_the_policy_sees_the_pictures_as_the_node_decodes_them():
    random = np.random.default_rng(0)
    pictures = {
        name: cv2.resize(random.integers(0, 256, (8, 8, 3), dtype=np.uint8), (320, 240))
        for name in ("front", "wrist")
    }
    seen = as_the_node_sees(pictures)
    assert seen["observation.images.front"] is pictures["front"]
    wrist = seen["observation.images.wrist"]
    bgr = cv2.imdecode(encode_jpeg(pictures["wrist"]), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(wrist, bgr[:, :, ::-1])
    assert 0 < np.abs(wrist.astype(int) - pictures["wrist"]).mean() < 5


@pytest.mark.parametrize(
    ("options", "said"),
    [({"execute": 51}, "makes chunks of 50 actions.*lower --execute")],
)
def test_a_policy_that_does_not_fit_is_refused(checkpoint, options, said):
    with pytest.raises(ValueError, match=said):
        server_of(Setup(str(checkpoint), **options))
