"""What the episodes of a closed loop say: success rates with intervals, reuse, and a picture."""

import statistics
from pathlib import Path

import matplotlib as mpl
from rich.table import Table
from scipy.stats import binomtest

mpl.use("Agg")
import matplotlib.pyplot as plt

from cls_vla_ros.evaluation.measures.timer import computed_share

CONFIDENCE = 0.95
LABELS = {"none": "undisturbed", "object": "object jumps", "occluder": "occluder comes and goes"}
Episodes = list[dict]  # of `run_episode`


def wilson(successes: int, episodes: int) -> tuple[float, float]:
    """Wilson's score interval of a success rate at 95 %.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Args:
        successes: of the episodes.
        episodes: at least 1.
    """
    interval = binomtest(successes, episodes).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def summarise(episodes: Episodes) -> dict:
    """Success, reuse and time of some episodes.

    Returns:
        episodes, successes, success_rate, wilson_95; steps_to_success (median; None without any);
        inferences, reuse_fraction (None for the expert), and by_task: episodes and successes.
    """
    successes = sum(episode["success"] for episode in episodes)
    steps = [episode["steps"] for episode in episodes if episode["success"]]
    inferences = sum(episode["inferences"] for episode in episodes)
    reused = sum(episode["reused"] for episode in episodes)
    by_task: dict[str, dict[str, int]] = {}
    reasons: dict[str, int] = {}
    for episode in episodes:
        of_task = by_task.setdefault(episode["task"], {"episodes": 0, "successes": 0})
        of_task["episodes"] += 1
        of_task["successes"] += episode["success"]
        for reason, count in episode["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "episodes": len(episodes),
        "successes": successes,
        "success_rate": successes / len(episodes),
        "wilson_95": wilson(successes, len(episodes)),
        "steps_to_success": statistics.median(steps) if steps else None,
        "inferences": inferences,
        "reuse_fraction": reused / inferences if inferences else None,
        "reasons": reasons,
        "by_task": by_task,
    }


def against_full(episodes: Episodes, full: Episodes) -> dict:
    """The same episodes by another rule: a sign test on those that end differently.

    Args:
        episodes: by the rule.
        full: by full recompute.

    Returns:
        difference of the success rates; gained and lost, the episodes that only one of the two
        did; p, two-sided, of the exact sign test (McNemar's). All on the pairs that are there.
    """
    did = {(e["task"], e["seed"]): e["success"] for e in full}
    pairs = [
        (e["success"], did[e["task"], e["seed"]])
        for e in episodes
        if (e["task"], e["seed"]) in did
    ]
    gained = sum(here and not there for here, there in pairs)
    lost = sum(there and not here for here, there in pairs)
    return {
        "difference": (gained - lost) / len(pairs) if pairs else None,
        "gained": gained,
        "lost": lost,
        "p": float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    }


def full_share_of(gated: Episodes) -> float:
    """The share of inferences after an episode's first that computed their prefix.

    Periodic refresh at this share reuses as often as the gate did.

    Args:
        gated: the gate's episodes.
    """
    inferences, reused = (sum(e[name] for e in gated) for name in ("inferences", "reused"))
    return computed_share(inferences, reused, len(gated))


def make_summary(episodes: Episodes) -> dict[str, dict[str, dict]]:
    """By disturbance and rule, in the order of the episodes: `summarise` and `against_full`."""
    groups: dict[str, dict[str, Episodes]] = {}
    for episode in episodes:
        rules = groups.setdefault(episode["disturbed"], {})
        rules.setdefault(episode["rule"], []).append(episode)
    return {
        disturbed: {
            rule: summarise(some)
            | ({"against_full": against_full(some, rules["full"])} if "full" in rules else {})
            for rule, some in rules.items()
        }
        for disturbed, rules in groups.items()
    }


def make_table(summary: dict[str, dict[str, dict]]) -> Table:
    """The same for a terminal."""
    table = Table(title="closed loop: success with Wilson's 95 % interval")
    for name in ("disturbance", "rule", "success", "rate, 95 %", "reused", "steps", "vs full"):
        is_name = name in ("disturbance", "rule")
        table.add_column(name, justify="left" if is_name else "right", no_wrap=True)
    for disturbed, rules in summary.items():
        for rule, of in rules.items():
            low, high = of["wilson_95"]
            reuse, steps = of["reuse_fraction"], of["steps_to_success"]
            versus = None if rule in ("expert", "full") else of.get("against_full")
            table.add_row(
                disturbed,
                rule,
                f"{of['successes']}/{of['episodes']}",
                f"{of['success_rate']:.0%}, {low:.0%} to {high:.0%}",
                "" if reuse is None else f"{reuse:.0%}",
                "" if steps is None else f"{steps:.0f}",
                f"+{versus['gained']} -{versus['lost']}" if versus else "",
            )
        table.add_section()
    table.caption = "vs full: episodes that only this rule, and only full recompute, did"
    return table


def draw(summary: dict[str, dict[str, dict]], policy: str, path: Path) -> None:
    """Success rates with their intervals, and how much was reused, by rule and disturbance."""
    rules = list(dict.fromkeys(rule for of in summary.values() for rule in of))
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 6), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    width = 0.8 / len(summary)
    for number, (disturbed, of_rules) in enumerate(summary.items()):
        offset = (number - (len(summary) - 1) / 2) * width
        places = [rules.index(rule) + offset for rule in of_rules]
        rates = [of["success_rate"] for of in of_rules.values()]
        bounds = [of["wilson_95"] for of in of_rules.values()]
        errors = [
            [max(0.0, rate - low) for rate, (low, _) in zip(rates, bounds, strict=True)],
            [max(0.0, high - rate) for rate, (_, high) in zip(rates, bounds, strict=True)],
        ]
        label = LABELS.get(disturbed, disturbed)
        top.bar(places, rates, width * 0.92, yerr=errors, capsize=3, label=label)
        bottom.bar(places, [of["reuse_fraction"] or 0 for of in of_rules.values()], width * 0.92)
    counts = {of["episodes"] for of_rules in summary.values() for of in of_rules.values()}
    each = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    top.set(
        ylabel="success rate",
        ylim=(0, 1.05),
        title=f"{policy}: {each} episodes for each bar, Wilson's 95 % intervals",
    )
    bottom.set(ylabel="share of inferences\non a cached prefix", ylim=(0, 1))
    bottom.set_xticks(range(len(rules)), rules)
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
