"""`ros2 run cls_vla_ros benchmark`: how fast, how exact and how large, side by side in one run.

Stock lerobot, eager and compiled, and our engines, for full inferences and for reuses: from numpy
pictures and state to numpy actions, as a node has them and wants them.
"""

import argparse
import json
import platform
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import date
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cls_vla_ros.benchmark.cases import Figures, Ours, Parity, Stock, measure
from cls_vla_ros.benchmark.policy import ARCHITECTURES, Setting, load_setting
from cls_vla_ros.benchmark.serve_benchmark import run_serve
from cls_vla_ros.console.machine import describe_machine
from cls_vla_ros.engine import DTYPES

REFERENCE = "stock eager float32"


def main() -> None:
    """Measure everything that this machine can run; a table, and JSON."""
    args = parse_arguments()
    console = Console(file=sys.stdout)  # not None, which it is while lerobot loads
    if not console.is_terminal:
        console.width = 120  # in a file or a pipe, rich would break the lines at 80
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.serve:
        run_serve(args, console, device)
        return
    architecture = args.architecture or ("real" if device.startswith("cuda") else "tiny")
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(None):  # lerobot prints
        setting = load_setting(args, device, architecture, Path(folder))
        machine = describe(device)
        console.print(
            f"{setting.description}; {args.cameras} cameras "
            f"{args.picture[1]}x{args.picture[0]}\n{machine['device']}, {machine['cpu']}"
        )
        figures, parity = run(setting, args, console)
    report = {
        "date": date.today().isoformat(),
        "machine": machine,
        "setting": setting.description,
        "cameras": args.cameras,
        "picture": list(args.picture),
        "figures": [asdict(row) for row in figures],
        "parity": [asdict(row) for row in parity],
    }
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    print_tables(console, figures, parity)
    if machine["device"] == "CPU":
        console.print("Only the ratios mean something on a CPU, and nothing of them for a GPU.")


def parse_arguments() -> argparse.Namespace:
    """What can be chosen."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--policy", type=Path, help="a checkpoint; random weights if left out")
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        help="of the random weights; left out: real on CUDA, tiny on a CPU",
    )
    parser.add_argument("--device", help="left out: CUDA if there is one")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES[1:], help="of our engines")
    parser.add_argument("--layout", default="readout", choices=("readout", "bidirectional"))
    parser.add_argument("--cameras", type=int, default=3, help="of the random policy")
    parser.add_argument("--picture", type=picture_size, default=(480, 640), help="e.g. 640x480")
    parser.add_argument("--inferences", type=int, default=1000, help="timed, of the quick ones")
    parser.add_argument(
        "--eager-inferences",
        type=int,
        default=30,
        help="timed, of lerobot's, and of ours without CUDA graphs where there is CUDA",
    )
    parser.add_argument("--case", default="", help="only those whose name has this in it")
    parser.add_argument("--compiled", action="store_true", help="stock compiled too: minutes")
    parser.add_argument("--profile", action="store_true", help="say which kernels take the time")
    parser.add_argument("--out", type=Path, help="JSON file for everything")
    parser.add_argument("--serve", action="store_true", help="robots at a server, nothing else")
    parser.add_argument("--replicas", type=int, default=2, help="of --serve (2)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each of --serve's rows (8)")
    parser.add_argument("--port", type=int, default=8000, help="of --serve (8000)")
    return parser.parse_args()


def picture_size(text: str) -> tuple[int, int]:
    """Height and width of "640x480"."""
    width, height = (int(part) for part in text.lower().split("x"))
    return height, width


def run(
    setting: Setting, args: argparse.Namespace, console: Console
) -> tuple[list[Figures], list[Parity]]:
    """All cases, one after another."""
    is_cuda = setting.device.startswith("cuda")
    dtypes = args.dtypes or (["bfloat16", "float32"] if is_cuda else ["float32"])
    cases = [Stock(setting, compiled=False)]
    if args.compiled:
        cases.append(Stock(setting, compiled=True))
    engines = ["eager", "cuda_graph"] if is_cuda else ["eager"]
    for dtype in dtypes:
        fused = is_cuda and dtype == "bfloat16"
        cases += [
            Ours(setting, engine, dtype, kernels)
            for kernels in (["torch", "triton"] if fused else ["torch"])
            for engine in engines
        ]
    # The first is what the others are compared with.
    cases = [case for case in cases if args.case in case.name or case is cases[0]]
    figures, parity = [], []
    with Progress(console=console) as progress:
        for case in cases:
            is_slow = isinstance(case, Stock) or (is_cuda and "cuda_graph" not in case.name)
            count = args.eager_inferences if is_slow else args.inferences
            task = progress.add_task(f"{case.name}: getting ready")

            def say(what: str, done: int, total: int, task=task, name=case.name) -> None:
                progress.update(task, description=f"{name}: {what}", completed=done, total=total)

            case.prepare(lambda text, say=say: say(text, 0, 1))
            figures += measure(case, count, say, reference=figures[0] if figures else None)
            parity += case.parity()
            if args.profile:
                console.print(case.profile())
            case.close()
    return figures, parity


def describe(device: str) -> dict[str, str]:
    """On what it was measured."""
    is_cuda = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda else "CPU",
        "cpu": f"{describe_machine()}, torch on {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def print_tables(console: Console, figures: list[Figures], parity: list[Parity]) -> None:
    """What was measured."""
    table = Table(title=f"one inference, pictures to actions; ratio to {REFERENCE}, full")
    for name in ("", "", "median ms", "p95", "p99", "ratio", "kernels", "ready s", "memory MB"):
        table.add_column(name, justify="left" if not name else "right")
    for row in figures:
        table.add_row(
            *(row.case, row.path, f"{row.median_ms:.2f}", f"{row.p95_ms:.2f}"),
            *(f"{row.p99_ms:.2f}", f"{row.ratio:.1f}", _or_dash(row.launches)),
            *(f"{row.ready_s:.1f}", _or_dash(row.memory_mb)),
        )
    console.print(table)
    table = Table(title="actions, normalised, with the same noise")
    for name in ("", "compared with", "cosine", "max error", "of at most"):
        table.add_column(name, justify="left" if not name else "right")
    for row in parity:
        table.add_row(
            *(row.case, row.against, f"{row.cosine:.7f}", f"{row.max_error:.2e}"),
            f"{row.largest:.2f}",
        )
    console.print(table)


def _or_dash(value: float) -> str:
    return "-" if value != value else f"{value:.0f}"


if __name__ == "__main__":
    main()
