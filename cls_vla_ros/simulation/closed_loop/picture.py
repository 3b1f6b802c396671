"""The picture of a closed loop: success against compute, and success by disturbance."""

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
    "gated": "o",
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
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5.2), width_ratios=(1, 1.15), layout="constrained"
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
    """Each rule's success over the mean time of its inferences."""
    steps = list(dict.fromkeys(_steps(name) for name in rules))
    for number, count in enumerate(steps):
        of_steps = {n: of for n, of in rules.items() if _steps(n) == count and of["inferences"]}
        times = {
            kind: [of[kind] for of in of_steps.values() if of[kind] is not None]
            for kind in ("full_ms", "reuse_ms")
        }
        if not all(times.values()):
            continue
        # Every rule with the same two times: how long one takes has nothing to do with the rule.
        full_ms, reuse_ms = (sorted(times[k])[len(times[k]) // 2] for k in ("full_ms", "reuse_ms"))
        places = []
        for name, of in of_steps.items():
            cost, (low, high) = cost_of(of, full_ms, reuse_ms), of["wilson_95"]
            rate = of["success_rate"]
            axes.errorbar(
                cost,
                rate,
                [[max(0.0, rate - low)], [max(0.0, high - rate)]],
                fmt=MARKERS.get(name.split(",")[0].split(" as ")[0], "d"),
                ms=8,
                capsize=2,
                lw=0.7,
                color=f"C{number}",
            )
            axes.annotate(
                name, (cost, rate), xytext=(5, 5), textcoords="offset points", fontsize=7.5
            )
            places.append((cost, rate))
        axes.plot(*zip(*sorted(places), strict=True), ":", lw=0.8, color=f"C{number}", zorder=0)
    axes.set(
        xlabel="mean time of an inference on this machine [ms]",
        ylabel="success rate, all episodes",
        xlim=(0, None),
    )
    axes.grid(alpha=0.3)


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
        shares = ["" if share is None else f"{share:.0%} reused" for share in reuse]
        axes.bar_label(bars, shares, label_type="center", fontsize=7, color="white")
    axes.set(xlabel="success rate", xlim=(0, 1.05))
    axes.set_yticks(range(len(rules)), rules, fontsize=8)
    axes.invert_yaxis()
    axes.legend(loc="lower left", fontsize=8, framealpha=0.9)


def _steps(name: str) -> str:
    return name.partition(", ")[2]
