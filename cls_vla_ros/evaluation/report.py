"""What `evaluate` leaves beside its pictures: tables, and a report in JSON."""

import argparse
import datetime
import math
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cls_vla_ros.evaluation.evaluation import PERIODIC, Evaluated
from cls_vla_ros.evaluation.measures.detection import (
    NUISANCE,
    Pairs,
    deployed,
    joined,
    measure,
)
from cls_vla_ros.evaluation.measures.reuse_measures import AFTER_CHANGE_S, summary
from cls_vla_ros.evaluation.pairs import GLANCE, GUARD

FALSE_ALARMS = "false alarms"
ASKED = ("every", "false_alarms", "nuisances", "phases", "seed")


def make_report(evaluated: Evaluated, args: argparse.Namespace, policy: str) -> dict:
    """All of it, as JSON holds it (NaN becomes null)."""
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "policy": Path(policy).name,
        "asked": {
            name: getattr(args, name) for name in ("every", "false_alarms", "phases", "seed")
        },
        "trained_on_allowed": args.use_trained_on,
        "pairs": _of_pairs(evaluated, args) if evaluated.pairs else None,
        "replays": None,
    }
    if evaluated.replays:
        two_noises, groups = evaluated.played()
        report["replays"] = {
            "two_noises": two_noises,
            "groups": {
                group: {way: summary(played) for way, played in ways.items()}
                for group, ways in groups.items()
            },
        }
    return _without_nan(report)


def _of_pairs(evaluated: Evaluated, args: argparse.Namespace) -> dict:
    kinds, counts = np.unique(
        np.concatenate([pairs.kinds for pairs in evaluated.pairs]).astype(str), return_counts=True
    )
    first = evaluated.pairs[0]
    among = with_nuisances(evaluated)
    return {
        "episodes": evaluated.names,
        "kinds": dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        "detectors": {
            name: measure(evaluated.pairs, name, args.false_alarms) for name in first.scores
        },
        "nuisances_among_them": {
            name: measure(among, name, args.false_alarms) for name in first.scores
        }
        if evaluated.nuisances and evaluated.nuisances[0]
        else {},
        "deployed": {name: deployed(evaluated.pairs, name) for name in first.alarms},
        "nuisances": {
            name: _of_nuisance(evaluated, name, list(first.alarms))
            for name in (evaluated.nuisances[0] if evaluated.nuisances else ())
        },
    }


def with_nuisances(evaluated: Evaluated) -> list[Pairs]:
    """The pairs of each episode, and beside them those that a nuisance alone makes different."""
    found = []
    for pairs, under in zip(evaluated.pairs, evaluated.nuisances, strict=True):
        steady = [of.steady.only(~of.steady.changed).as_kind(NUISANCE) for of in under.values()]
        onsets = [of.onset for of in under.values() if of.onset is not None]
        found.append(joined([pairs, *steady, *onsets]))
    return found


def _of_nuisance(evaluated: Evaluated, nuisance: str, detectors: list[str]) -> dict:
    of_episodes = [under[nuisance] for under in evaluated.nuisances]
    steady = [of.steady for of in of_episodes]
    onsets = [of.onset for of in of_episodes if of.onset is not None]
    return {
        detector: {
            "steady": deployed(steady, detector),
            "onset": deployed(onsets, detector)[FALSE_ALARMS] if onsets else None,
        }
        for detector in detectors
    }


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_report(report: dict, console: Console) -> None:
    """The tables."""
    if report["pairs"]:
        pairs, asked = report["pairs"], report["asked"]
        count, apart = len(pairs["episodes"]), asked["every"]
        at = f"recall at {asked['false_alarms']:.0%} false alarms"
        in_brackets = "" if count == 1 else "; in brackets 95 % intervals"
        title = f"{count} episodes, pairs {apart} frames apart; {at}{in_brackets}"
        console.print(_table(title, pairs["detectors"]))
        if pairs["nuisances_among_them"]:
            console.print(_table(f"Nuisances among them; {at}", pairs["nuisances_among_them"]))
        console.print(_table("At the thresholds that the node has", pairs["deployed"]))
        if pairs["nuisances"]:
            # The node has no guard where it has a glance: evaluation.json has both.
            unused = GUARD if GLANCE in pairs["deployed"] else None
            console.print(_nuisances_table(pairs["nuisances"], unused))
    else:
        console.print("[yellow]no episode has labels: nothing is said of detection[/yellow]")
    for group, ways in (report["replays"] or {"groups": {}})["groups"].items():
        console.print(_replays_table(group, ways))


def in_words(name: str) -> str:
    """The name of a score or a way."""
    return name.replace("_and_", " + ").replace("_", " ")


def _table(title: str, detectors: dict) -> Table:
    table = Table(title=title)
    table.add_column("score")
    measures = list(next(iter(detectors.values())))
    for name in measures:
        table.add_column(in_words(name), justify="right")
    for name, of in detectors.items():
        table.add_row(in_words(name), *(_with_interval(of[measure]) for measure in measures))
    return table


def _nuisances_table(nuisances: dict, unused: str | None) -> Table:
    detectors = [name for name in next(iter(nuisances.values())) if name != unused]
    table = Table(
        title="Under each nuisance, at the thresholds that the node has",
        caption="recall of changes and false alarms while it is steady; false alarms at its onset",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("nuisance")
    for name in detectors:
        for what in ("recall", "false", "onset"):
            table.add_column(f"{in_words(name)}\n{what}", justify="right")
    for nuisance, of_detectors in nuisances.items():
        values = [
            value
            for name in detectors
            for value in (
                of_detectors[name]["steady"]["recall all"]["value"],
                of_detectors[name]["steady"][FALSE_ALARMS]["value"],
                (of_detectors[name]["onset"] or {"value": None})["value"],
            )
        ]
        shown = ("-" if value is None else f"{value:.3f}" for value in values)
        table.add_row(in_words(nuisance), *shown)
    return table


def _with_interval(of: dict) -> str:
    if of["value"] is None:
        return "-"
    ends = "" if of["low"] is None else f"\n[{of['low']:.3f}, {of['high']:.3f}]"
    return f"{of['value']:.3f}{ends}"


def _replays_table(group: str, ways: dict) -> Table:
    first = next(iter(ways.values()))
    table = Table(
        title=f"{first['replays']} replays of {first['episodes']} {group} episodes",
        box=SIMPLE_HEAD,  # narrow enough for a terminal of 80 columns
        padding=(0, 1, 0, 0),
        caption="deviation in units of two noises: median, p95 and p99 of reused chunks, median "
        f"of all, and of those up to {AFTER_CHANGE_S:g} s after a change",
    )
    names = (
        "way",
        "reused",
        "median",
        "p95",
        "p99",
        "all",
        "after",
        "missed",
        "delay",
        "false/min",
    )
    for name in names:
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, of in ways.items():
        everything = of["detection"]["all"]
        speaks = way != PERIODIC
        values = [
            *(of["deviation_reused"][q] for q in ("median", "p95", "p99")),
            of["deviation"]["median"],
            of["deviation_after_change"]["median"],
            everything["miss_rate"] if speaks else None,
            everything["delay_s"]["median"] if speaks else None,
            of["false_alarms_per_minute"] if speaks else None,
        ]
        shown = ("-" if value is None else f"{value:.3f}" for value in values)
        table.add_row(in_words(way), f"{of['reuse_fraction']:.0%}", *shown)
    return table
