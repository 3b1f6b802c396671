"""A fleet's run in one picture: each robot's latency, the batches, the moment of the kill."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from cls_vla_ros.serve.fleet.robots import Asked

COLOURS = plt.get_cmap("tab10").colors


def draw(asked: list[Asked], killed_s: float, path: Path) -> None:
    """Draw it.

    Args:
        asked: all requests.
        killed_s: when a replica was killed; NaN if none was.
        path: of the PNG.
    """
    robots = sorted({one.robot for one in asked})
    replicas = sorted({one.replica for one in asked if one.is_answered})
    figure, axes = plt.subplots(
        len(robots) + 1, figsize=(11, 1.5 * len(robots) + 2), sharex=True, layout="constrained"
    )
    for axis, n in zip(axes, robots, strict=False):
        _draw_robot(axis, [one for one in asked if one.robot == n], replicas)
        axis.set_ylabel(f"robot {n}\nms")
    axes[0].set_title("from a request to its answer, by the replica that gave it", loc="left")
    done = [one for one in asked if one.is_answered]
    axes[-1].scatter([o.at_s for o in done], [o.batch for o in done], s=8, color="0.3")
    axes[-1].set(ylabel="robots\nin a batch", xlabel="time [s]")
    largest = max([2, *(o.batch for o in done)])
    axes[-1].set_yticks(range(1, largest + 1))
    axes[-1].set_ylim(0.5, largest + 1.2)
    for axis in axes:
        axis.grid(alpha=0.3)
        if killed_s == killed_s:
            axis.axvline(killed_s, color="black", ls="--", lw=1)
    if killed_s == killed_s:
        axes[-1].annotate(
            "a replica is killed", (killed_s, 1), (4, -3), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top",
        )  # fmt: skip
    handles = {}
    for axis in axes[:-1]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_robot(axis, asked: list[Asked], replicas: list[str]) -> None:
    for colour, replica in zip(COLOURS, replicas, strict=False):
        of = [one for one in asked if one.replica == replica]
        if of:
            label = f"replica {replica}"
            axis.scatter(
                [o.at_s for o in of], [o.took_ms for o in of], s=8, color=colour, label=label
            )
    if lost := [one for one in asked if not one.is_answered]:
        axis.scatter(
            [o.at_s for o in lost], [0] * len(lost), s=14, marker="x", color="tab:red",
            label="no answer: it holds",
        )  # fmt: skip
    axis.set_ylim(bottom=min(-3.0, axis.get_ylim()[0]))
