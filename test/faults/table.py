"""The faults of a test run as a markdown table, for docs/faults.md."""

from collections.abc import Iterable
from pathlib import Path

HEAD = (
    "| fault | what follows | what `/diagnostics` says | actions again after, s "
    "(chunk, stream) |\n|---|---|---|---|"
)
LONGEST_SAID = 110


def write_table(path: Path, reports: Iterable) -> None:
    """Write it.

    Args:
        path: where.
        reports: of the tests, as pytest has them; those of a fault hold a property of that name.
    """
    rows: dict[str, dict[str, dict]] = {}  # by fault and mode
    for report in reports:
        found = dict(report.user_properties).get("fault")
        if found and report.when == "call":
            rows.setdefault(found["name"], {})[found["mode"]] = found
    lines = [HEAD]
    for name, by_mode in rows.items():
        one = next(iter(by_mode.values()))
        times = ", ".join(_time(by_mode.get(mode)) for mode in ("chunk", "stream"))
        lines.append(f"| {name} | {one['follows']} | {_cell(one['said'])} | {times} |")
    path.write_text("\n".join(lines) + "\n")


def _time(found: dict | None) -> str:
    if found is None or found["recovered_s"] is None:
        return "-"
    return f"{found['recovered_s']:.1f}"


def _cell(said: str) -> str:
    said = said.replace("|", "\\|")
    return said if len(said) <= LONGEST_SAID else said[: LONGEST_SAID - 1] + "…"
