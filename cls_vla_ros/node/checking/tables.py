"""What was found, for people."""

import math

import numpy as np
from rich.console import Console
from rich.table import Table

from cls_vla_ros.node.checking.first_chunk import FirstChunk
from cls_vla_ros.node.checking.robot import Ends
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Came, Heard
from cls_vla_ros.robot.checking.values import Value, value_problem
from cls_vla_ros.robot.joints import ros_unit
from cls_vla_ros.robot.settings import Settings


def print_sources(console: Console, settings: Settings, heard: Heard, ends: Ends) -> None:
    """Each picture and source of the state, with what came on its topic."""
    table = _table("What the policy takes", "feature", "topic", "from", "rate", "age", "what came")
    for camera in settings.cameras:
        name = f"{camera.feature} ({camera.transport})"
        _add_source(table, name, camera.topic, ends, heard.cameras[camera.name])
    for source in settings.state.sources:
        name = f"observation.state ({source.name or source.type})"
        _add_source(table, name, source.topic, ends, heard.states[source.name])
    console.print(table)


def print_values(console: Console, title: str, values: list[Value], *, measured: bool) -> None:
    """Each joint, in ROS's unit and in the policy's."""
    columns = ["name", "measured", "for the policy"] if measured else ["name", "unit"]
    table = _table(title, *columns, "in the dataset", "which is, in ROS")
    for value in values:
        unit, here = value.unit, ros_unit(value.unit)
        strange = measured and value_problem(value)[1]
        lead = [value.name, unit or "none"]
        if measured:
            lead = [
                value.name,
                _number(value.ros, here),
                _marked(_number(value.policy, unit), bool(strange)),
            ]
        in_ros = sorted([value.to_ros(value.lower), value.to_ros(value.upper)])
        table.add_row(*lead, _range(value.lower, value.upper, unit), _range(*in_ros, here))
    console.print(table)


def print_outputs(console: Console, settings: Settings, ends: Ends) -> None:
    """Where each command would go."""
    table = _table("What it would command", "topic or action", "type", "values", "heard by")
    for output in settings.action.outputs:
        names = [
            name if name == renamed else f"{name} as {renamed}"
            for name, renamed in zip(output.names, output.rename, strict=True)
        ]
        who = ends.subscribers.get(output.topic, "")
        table.add_row(output.topic, output.type, ", ".join(names), who or "[red]nobody[/red]")
    if not settings.action.outputs:
        table.add_row("action_chunk", "cls_vla_ros/ActionChunk", "all", "who subscribes to it")
    console.print(table)


def print_chunk(console: Console, settings: Settings, chunk: FirstChunk) -> None:
    """What the first chunk would command against where the joints are."""
    console.print(f"one inference: {chunk.latency_ms:.0f} ms on {chunk.device}")
    columns = ("name", "is at", "first step", "that is by", "lowest", "highest", "last")
    table = _table("The first chunk, which was not published", *columns)
    for i, name in enumerate(settings.action.names):
        unit, steps, now = ros_unit(settings.action.units[i]), chunk.actions[:, i], chunk.now[i]
        numbers = (now, steps[0], steps[0] - now, np.min(steps), np.max(steps), steps[-1])
        table.add_row(name, *(_number(number, unit) for number in numbers))
    console.print(table)


def print_findings(console: Console, findings: Findings) -> None:
    """What is wrong at the end, where it is seen."""
    for text in findings.notes:
        console.print(f"   {text}", highlight=False, markup=False)
    for text in findings.doubts:
        console.print("[yellow]look:[/yellow]", end=" ")
        console.print(text, highlight=False, markup=False)
    for text in findings.bad:
        console.print("[bold red]wrong:[/bold red]", end=" ")
        console.print(text, highlight=False, markup=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add_source(table: Table, feature: str, topic: str, ends: Ends, came: Came) -> None:
    who = ends.publishers.get(topic) or ends.publishers.get(topic.lstrip("/"))
    rate = f"{came.rate_hz:.1f} Hz" if came.count > 1 else f"{came.count} messages"
    age = f"{came.age_ms:.0f} ms" if came.stamp_ns else "no stamp" if came.count else ""
    looks = came.looks or "[red]nothing[/red]"
    if refused := came.refused.total():
        looks += f", [red]{refused} refused[/red]"
    table.add_row(feature, topic, who or "[red]nobody[/red]", rate, age, looks)


def _number(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip() if math.isfinite(value) else "?"


def _range(lower: float, upper: float, unit: str) -> str:
    if not math.isfinite(lower) or not math.isfinite(upper):
        return "not said"
    return f"{lower:.4g} … {upper:.4g} {unit}".strip()


def _marked(text: str, is_strange: bool) -> str:
    return f"[yellow]{text}[/yellow]" if is_strange else text
