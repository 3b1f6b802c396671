import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cls_vla_ros.simulation.closed_loop.picture import cost_of, draw
from cls_vla_ros.simulation.closed_loop.report import (
    compare,
    full_share_of,
    make_summary,
    make_table,
    name_of,
    paired_interval,
    wilson,
)


def episode(rule="full", seed=0, success=True, disturbed="none", inferences=10, reused=0, **more):
    return {
        "task": "drawer-open-v3",
        "seed": seed,
        "disturbed": disturbed,
        "rule": rule,
        "success": success,
        "steps": 80 + seed if success else None,
        "inferences": inferences,
        "reused": reused,
        "reasons": {"reused": reused},
        "matched": "",
        "num_steps": 0,
        "full_ms": 20.0 if inferences else None,
        "reuse_ms": 10.0 if reused else None,
    } | more


@pytest.mark.parametrize(
    ("successes", "episodes", "expected"),
    [
        # R. G. Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I:
        # Wilson's score interval without continuity correction.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilsons_interval_is_the_published_one(successes, episodes, expected):
    assert wilson(successes, episodes) == pytest.approx(expected, abs=5e-5)


def test_rules_are_compared_on_the_same_episodes():
    full = [episode(seed=seed, success=seed < 6) for seed in range(10)]
    blind = [episode("blind", seed, success=seed in (0, 9)) for seed in range(10)]
    compared = compare(blind, full)
    assert compared["pairs"] == 10
    assert (compared["gained"], compared["lost"]) == (1, 5)
    assert compared["difference"] == pytest.approx(-0.4)
    assert compared["p"] == pytest.approx(2 * 7 / 64)  # of six coins, at most one head, twice
    assert compare(full, full)["p"] == 1.0
    assert compare([episode("blind", 77)], full)["difference"] is None
    assert compare([episode("blind", 0, disturbed="object")], full)["pairs"] == 0


def test_the_interval_of_a_paired_difference_covers():
    """Of 400 drawn sets of 40 pairs, about 95 % have the true difference within it."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(40, [0.2, 0.05, 0.75], size=400)
    within = [
        low <= 0.15 <= high
        for low, high in (paired_interval(int(g), int(lo), 40) for g, lo, _ in drawn)
    ]
    assert 0.92 < np.mean(within) <= 0.98
    low, high = paired_interval(0, 0, 40)
    assert low < 0 < high


def test_a_rule_is_judged_against_its_own_timer_and_full_recompute_by_as_many_steps():
    episodes = []
    for steps, lost in ((10, 1), (2, 3)):
        for seed in range(6):
            about = {"seed": seed, "num_steps": steps, "reused": 4}
            episodes += [
                episode("full", **about | {"reused": 0}),
                episode("motion", success=seed >= lost, **about),
                episode("periodic", success=seed > 4, matched="motion", **about),
            ]
    of_all = make_summary(episodes)["all"]
    assert list(of_all)[:3] == [
        "full, 10 steps",
        "motion, 10 steps",
        "periodic as motion, 10 steps",
    ]
    assert [of_all[f"motion, {n} steps"]["against_full"]["lost"] for n in (10, 2)] == [1, 3]
    assert [of_all[f"motion, {n} steps"]["against_timer"]["gained"] for n in (10, 2)] == [4, 2]
    assert "against_full" not in of_all["full, 2 steps"]
    assert name_of(episode()) == "full"


def test_the_cost_is_the_mean_time_of_an_inference():
    assert cost_of({"reuse_fraction": 0.75}, 20.0, 10.0) == 12.5


def test_periodic_refresh_gets_the_gates_share():
    assert full_share_of([episode(inferences=11, reused=8)] * 3) == pytest.approx(0.2)
    assert full_share_of([episode(inferences=11, reused=0)]) == 1.0
    assert full_share_of([episode(inferences=1)]) == 1.0


def test_the_summary_the_table_and_the_picture(tmp_path):
    episodes = [
        *(episode(seed=s, success=s < 3, disturbed=d) for d in ("none", "object") for s in (1, 5)),
        *(episode("gated", s, disturbed=d, reused=6) for d in ("none", "object") for s in (1, 5)),
        episode("expert", 1, inferences=0),
    ]
    summary = make_summary(episodes)
    assert summary["all"]["gated"]["episodes"] == 4
    gated = summary["object"]["gated"]
    assert (gated["successes"], gated["episodes"], gated["success_rate"]) == (2, 2, 1.0)
    assert gated["reuse_fraction"] == pytest.approx(0.6)
    assert gated["steps_to_success"] == 83
    assert gated["reasons"] == {"reused": 12}
    assert gated["by_task"] == {"drawer-open-v3": {"episodes": 2, "successes": 2}}
    assert gated["against_full"]["gained"] == 1
    assert summary["none"]["expert"]["reuse_fraction"] is None
    console = Console(record=True, width=140)
    console.print(make_table(summary))
    row = next(line for line in console.export_text().splitlines() if "gated" in line)
    for cell in ("2/2", "100%, 34% to 100%", "60%", "83", "+1 -0, p 1"):
        assert cell in row
    draw(summary, "demo", tmp_path / "results.png")
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.size[0] > 500
        assert len(picture.convert("RGB").getcolors(10**6)) > 20
