import pytest
from PIL import Image
from rich.console import Console

from cls_vla_ros.simulation.closed_loop.report import (
    against_full,
    draw,
    full_share_of,
    make_summary,
    make_table,
    wilson,
)


def episode(rule="full", seed=0, success=True, disturbed="none", inferences=10, reused=0):
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
    }


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
    compared = against_full(blind, full)
    assert (compared["gained"], compared["lost"]) == (1, 5)
    assert compared["difference"] == pytest.approx(-0.4)
    assert compared["p"] == pytest.approx(2 * 7 / 64)  # of six coins, at most one head, twice
    assert against_full(full, full)["p"] == 1.0
    assert against_full([episode("blind", 77)], full)["difference"] is None


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
    gated = summary["object"]["gated"]
    assert (gated["successes"], gated["episodes"], gated["success_rate"]) == (2, 2, 1.0)
    assert gated["reuse_fraction"] == pytest.approx(0.6)
    assert gated["steps_to_success"] == 83
    assert gated["reasons"] == {"reused": 12}
    assert gated["by_task"] == {"drawer-open-v3": {"episodes": 2, "successes": 2}}
    assert gated["against_full"]["gained"] == 1
    assert summary["none"]["expert"]["reuse_fraction"] is None
    console = Console(record=True, width=80)
    console.print(make_table(summary))
    row = next(line for line in console.export_text().splitlines() if "gated" in line)
    for cell in ("2/2", "100%, 34% to 100%", "60%", "83", "+1 -0"):
        assert cell in row
    draw(summary, "demo", tmp_path / "results.png")
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.size[0] > 500
        assert len(picture.convert("RGB").getcolors(10**6)) > 20
