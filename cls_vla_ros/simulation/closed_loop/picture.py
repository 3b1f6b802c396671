"""The picture of a closed loop: success against compute, and success by disturbance."""

import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from cls_vla_ros.simulation.closed_loop.report import ALL

LABELS = {
    "none": "undisturbed",
    "object": "object jumps",
    "occluder": "occluder comes and goes",
    ALL: "all episodes",
}
MARKERS = {
    "full": "s",
    "both": "D",
    "gated": "o",
    "glance": "P",
    "motion": "^",
    "oracle": "*",
    "periodic": "x",
    "timer_guard": "+",
    "blind": "v",
}


def cost_of(found: dict, full_ms: float, reuse_ms: float) -> float:
    """Mean time of an inference, in ms.

    Args:
        found: of a rule, see `summarise`.
        full_ms: of one that computes its prefix.
        reuse_ms: of one that reuses it.
    """
    reuse = found["reuse_fraction"]
    return (1 - reuse) * full_ms + reuse * reuse_ms


def draw(summary: dict[str, dict[str, dict]], policy: str, path: Path) -> None:
    """Draw both.

    Args:
        summary: of `make_summary`.
        policy: its name, for the title.
        path: PNG.
    """
    height = 2.2 + 0.26 * len(summary[ALL])
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, max(5.2, height)), width_ratios=(1, 1.15), layout="constrained"
    )
    _against_compute(left, summary[ALL])
    _by_disturbance(right, {name: of for name, of in summary.items() if name != ALL})
    counts = sorted({of["episodes"] for of in summary[ALL].values()})
    each = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    figure.suptitle(
        f"{policy} in closed loop: {each} paired episodes a rule, 95 % intervals (Wilson)"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _against_compute(axes: Axes, rules: dict[str, dict]) -> None:
    """Each rule's success over the mean time of its inferences; a line through its steps."""
    rules = {name: of for name, of in rules.items() if of["inferences"]}
    times = {steps: _times(rules, steps) for steps in {_steps(name) for name in rules}}
    for number, rule in enumerate(dict.fromkeys(name.partition(", ")[0] for name in rules)):
        points = []
        for name, of in rules.items():
            full_ms, reuse_ms = times[_steps(name)]
            if name.partition(", ")[0] == rule and full_ms:
                cost = cost_of(of, full_ms, reuse_ms or full_ms)
                points.append((cost, of["success_rate"], *of["wilson_95"]))
                label = _steps(name).removesuffix(" steps")
                at = (cost, of["success_rate"])
                axes.annotate(label, at, (5, 4), textcoords="offset points", fontsize=7)
        if points:
            costs, rates, lows, highs = zip(*sorted(points), strict=True)
            errors = [
                [max(0.0, r - low) for r, low in zip(rates, lows, strict=True)],
                [max(0.0, high - r) for r, high in zip(rates, highs, strict=True)],
            ]
            marker = MARKERS.get(rule.partition(" as ")[0], "d")
            axes.errorbar(
                costs,
                rates,
                errors,
                fmt=f"{marker}:",
                ms=8,
                lw=1,
                elinewidth=0.4,
                capsize=2,
                color=f"C{number}",
                label=rule,
            )
    axes.set(
        xlabel="mean time of an inference on this machine [ms]\n(beside each point: steps)",
        ylabel="success rate, all episodes",
        xlim=(0, None),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, framealpha=0.9)


def _times(rules: dict[str, dict], steps: str) -> tuple[float | None, float | None]:
    """Of a computing and of a reusing inference, in ms: medians over all rules of as many steps.

    How long one takes has nothing to do with the rule.
    """
    found = []
    for kind in ("full_ms", "reuse_ms"):
        of = [r[kind] for n, r in rules.items() if _steps(n) == steps and r[kind] is not None]
        found.append(statistics.median(of) if of else None)
    return found[0], found[1]


def _by_disturbance(axes: Axes, summary: dict[str, dict[str, dict]]) -> None:
    rules = list(dict.fromkeys(rule for of in summary.values() for rule in of))
    height = 0.8 / len(summary)
    for number, (disturbed, of_rules) in enumerate(summary.items()):
        offset = (number - (len(summary) - 1) / 2) * height
        places = [rules.index(rule) + offset for rule in of_rules]
        rates = [of["success_rate"] for of in of_rules.values()]
        bounds = [of["wilson_95"] for of in of_rules.values()]
        errors = [
            [max(0.0, rate - low) for rate, (low, _) in zip(rates, bounds, strict=True)],
            [max(0.0, high - rate) for rate, (_, high) in zip(rates, bounds, strict=True)],
        ]
        label = LABELS.get(disturbed, disturbed)
        bars = axes.barh(
            places, rates, height * 0.92, xerr=errors, label=label, error_kw={"lw": 0.8}
        )
        reuse = [of["reuse_fraction"] for of in of_rules.values()]
        shares = ["" if share is None else f"{share:.0%}" for share in reuse]
        for bar, share in zip(bars, shares, strict=True):
            axes.text(0.01, bar.get_y() + bar.get_height() / 2, share, fontsize=6.5, va="center")
    axes.set(
        xlabel="success rate (in each bar: share of inferences on a cached prefix)", xlim=(0, 1.05)
    )
    axes.set_yticks(range(len(rules)), rules, fontsize=8)
    axes.invert_yaxis()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8)


def _steps(name: str) -> str:
    return name.partition(", ")[2]
