"""What the episodes of a closed loop say: success rates with intervals, reuse, and a picture."""

import math
import statistics

from rich.table import Table
from scipy.stats import binomtest

from cls_vla_ros.evaluation.measures.timer import computed_share

CONFIDENCE = 0.95
ALL = "all"  # disturbances together
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
        inferences, reuse_fraction (None for the expert), full_ms and reuse_ms (medians over
        episodes of their medians; None without any), and by_task: episodes and successes.
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
        "full_ms": _median(episodes, "full_ms"),
        "reuse_ms": _median(episodes, "reuse_ms"),
        "reasons": reasons,
        "by_task": by_task,
    }


def _median(episodes: Episodes, name: str) -> float | None:
    found = [episode[name] for episode in episodes if episode.get(name) is not None]
    return statistics.median(found) if found else None


def name_of(episode: dict) -> str:
    """The rule in words: what it is matched with, and the number of steps if it was given."""
    name = episode["rule"]
    name += f" as {episode['matched']}" if episode["matched"] else ""
    return name + (f", {episode['num_steps']} steps" if episode["num_steps"] else "")


def compare(episodes: Episodes, others: Episodes) -> dict:
    """The same episodes by another rule: an exact test on those that end differently.

    McNemar's: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, 1947; with the binomial distribution in place of chi square.

    Args:
        episodes: by the rule.
        others: by the other.

    Returns:
        pairs, how many there are; difference of the success rates (None without pairs) with its
        95 % interval (difference_95); gained and lost, the episodes that only one of the two did;
        p, two-sided.
    """
    did = {_episode_of(e): e["success"] for e in others}
    pairs = [(e["success"], did[_episode_of(e)]) for e in episodes if _episode_of(e) in did]
    gained = sum(here and not there for here, there in pairs)
    lost = sum(there and not here for here, there in pairs)
    return {
        "pairs": len(pairs),
        "difference": (gained - lost) / len(pairs) if pairs else None,
        "difference_95": paired_interval(gained, lost, len(pairs)) if pairs else None,
        "gained": gained,
        "lost": lost,
        "p": float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    }


def paired_interval(gained: int, lost: int, pairs: int) -> tuple[float, float]:
    """95 % interval of a difference of two paired success rates.

    A. Agresti and Y. Min, Simple improved confidence intervals for comparing matched proportions,
    2005: Wald's, with half a pair more in each of the four cells.

    Args:
        gained: pairs that only the first did.
        lost: that only the second did.
        pairs: of all, at least 1.
    """
    n, more, less = pairs + 2, gained + 0.5, lost + 0.5
    difference = (more - less) / n
    error = 1.959964 * math.sqrt((more + less) - (more - less) ** 2 / n) / n
    return max(-1.0, difference - error), min(1.0, difference + error)


def _episode_of(episode: dict) -> tuple[str, int, str]:
    return episode["task"], episode["seed"], episode["disturbed"]


def full_share_of(gated: Episodes) -> float:
    """The share of inferences after an episode's first that computed their prefix.

    Periodic refresh at this share reuses as often as the gate did.

    Args:
        gated: the gate's episodes.
    """
    inferences, reused = (sum(e[name] for e in gated) for name in ("inferences", "reused"))
    return computed_share(inferences, reused, len(gated))


def make_summary(episodes: Episodes) -> dict[str, dict[str, dict]]:
    """By disturbance, and of "all" together, and by rule, in the order of the episodes.

    Returns:
        `summarise`; "against_full": `compare` with full recompute by as many steps;
        "against_timer": with the timer that reuses as often, where there is one.
    """
    groups: dict[str, dict[str, Episodes]] = {}
    for disturbed in (*dict.fromkeys(e["disturbed"] for e in episodes), ALL):
        for episode in episodes:
            if disturbed in (ALL, episode["disturbed"]):
                rules = groups.setdefault(disturbed, {})
                rules.setdefault(name_of(episode), []).append(episode)
    return {
        disturbed: {name: _judge(some, rules) for name, some in rules.items()}
        for disturbed, rules in groups.items()
    }


def _judge(episodes: Episodes, rules: dict[str, Episodes]) -> dict:
    found = summarise(episodes)
    others = {
        "against_full": episodes[0] | {"rule": "full", "matched": ""},
        "against_timer": episodes[0] | {"rule": "periodic", "matched": episodes[0]["rule"]},
    }
    for name, other in others.items():
        if name_of(other) in rules and episodes[0]["rule"] not in ("expert", "full"):
            found[name] = compare(episodes, rules[name_of(other)])
    return found


def make_table(summary: dict[str, dict[str, dict]]) -> Table:
    """The same for a terminal."""
    table = Table(title="closed loop: success with Wilson's 95 % interval")
    names = (
        "disturbance",
        "rule",
        "success",
        "rate, 95 %",
        "reused",
        "steps",
        "vs full",
        "vs timer",
    )
    for name in names:
        is_name = name in ("disturbance", "rule")
        justify = "left" if is_name else "right"
        table.add_column(name, justify=justify, no_wrap=name == "success")
    for disturbed, rules in summary.items():
        for rule, of in rules.items():
            low, high = of["wilson_95"]
            reuse, steps = of["reuse_fraction"], of["steps_to_success"]
            table.add_row(
                disturbed,
                rule,
                f"{of['successes']}/{of['episodes']}",
                f"{of['success_rate']:.0%}, {low:.0%} to {high:.0%}",
                "" if reuse is None else f"{reuse:.0%}",
                "" if steps is None else f"{steps:.0f}",
                *(
                    _versus(of.get(name))
                    if rule.partition(",")[0] not in ("expert", "full")
                    else ""
                    for name in ("against_full", "against_timer")
                ),
            )
        table.add_section()
    table.caption = "vs: episodes that this rule, and that full recompute or the timer, alone did"
    return table


def _versus(of: dict | None) -> str:
    return f"+{of['gained']} -{of['lost']}, p {of['p']:.2g}" if of else ""
