"""What a soak measured, judged and drawn."""

import statistics
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TENTHS = 10
LATENCY_SHARE, LATENCY_MS = 0.2, 2.0  # a drift is more than both
MEMORY_MB = 5.0
CHUNK_GAP_S = 1.0


@dataclass(frozen=True)
class Inferred:
    """One inference, as SceneChange and the clock here say.

    Attributes:
        time_s: since the soak's start, when it was heard.
        inference_id: of the message.
        episode: of the message.
        total_ms: of the message.
        observation_age_ms: of the message.
    """

    time_s: float
    inference_id: int
    episode: int
    total_ms: float
    observation_age_ms: float


@dataclass(frozen=True)
class Sample:
    """The node's process, once a second.

    Attributes:
        time_s: since the soak's start.
        memory_mb: resident.
        cpu: share of one core since the sample before.
    """

    time_s: float
    memory_mb: float
    cpu: float


@dataclass
class Soaked:
    """Everything that a soak heard.

    Attributes:
        inferences: in order.
        chunks: inference_id and time of each action chunk.
        samples: of the process.
        resets: how often an episode was ended from outside: resets and changes of the task.
        refused: messages that the node refused, by topic.
        frames_published: by all cameras together.
    """

    inferences: list[Inferred] = field(default_factory=list)
    chunks: list[tuple[int, float]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    resets: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    frames_published: int = 0


def tenths(soaked: Soaked) -> list[dict[str, float]]:
    """The medians of each tenth of the time.

    Returns:
        For each: total_ms, observation_age_ms, rate_hz, memory_mb (at its end) and cpu. Tenths
        without an inference or a sample are left out.
    """
    end_s = max((s.time_s for s in soaked.samples), default=0.0)
    rows = []
    for number in range(TENTHS):
        begin, end = (end_s * n / TENTHS for n in (number, number + 1))
        inferences = [i for i in soaked.inferences if begin < i.time_s <= end]
        samples = [s for s in soaked.samples if begin < s.time_s <= end]
        if not inferences or not samples:
            continue
        rows.append(
            {
                "end_s": end,
                "total_ms": statistics.median(i.total_ms for i in inferences),
                "observation_age_ms": statistics.median(i.observation_age_ms for i in inferences),
                "rate_hz": len(inferences) / (end - begin),
                "memory_mb": samples[-1].memory_mb,
                "cpu": statistics.mean(s.cpu for s in samples),
            }
        )
    return rows


def drifts_of(rows: list[dict[str, float]]) -> list[str]:
    """What got worse, in words: latency from the second tenth to the last, memory from the fifth.

    A process takes memory for the worst moment that it has seen, and keeps it: the first half is
    for that. A leak goes on in the second.
    """
    if len(rows) < TENTHS:
        return [f"the node inferred in {len(rows)} of {TENTHS} parts of the time"]
    problems = []
    for name in ("total_ms", "observation_age_ms"):
        before, after = rows[1][name], rows[-1][name]
        if after - before > max(LATENCY_MS, LATENCY_SHARE * before):
            problems.append(f"{name} drifts: median {before:.1f}, in the end {after:.1f}")
    growth = rows[-1]["memory_mb"] - rows[TENTHS // 2 - 1]["memory_mb"]
    if growth > MEMORY_MB:
        problems.append(
            f"memory grows: by {growth:.1f} MB in the second half, allowed {MEMORY_MB:g} MB"
        )
    return problems


def drops_of(soaked: Soaked) -> list[str]:
    """What is missing, in words; empty if nothing is."""
    problems = []
    lost = 0
    for before, after in pairwise(soaked.inferences):
        # A reset may discard the one inference that is under way.
        allowed = after.episode - before.episode
        lost += max(0, after.inference_id - before.inference_id - 1 - allowed)
    if lost:
        problems.append(f"{lost} inference_ids are missing")
    with_chunk = {inference_id for inference_id, _ in soaked.chunks}
    without = [i.inference_id for i in soaked.inferences if i.inference_id not in with_chunk]
    if without:
        problems.append(f"{len(without)} inferences came without an action chunk")
    times = [time_s for _, time_s in soaked.chunks]
    gaps = [(b - a, a) for a, b in pairwise(times) if b - a > CHUNK_GAP_S]
    problems += [f"no chunk for {gap:.1f} s, {at:.0f} s after the start" for gap, at in gaps]
    problems += [f"{count} messages refused: {topic}" for topic, count in soaked.refused.items()]
    episodes = len({i.episode for i in soaked.inferences})
    if episodes != soaked.resets + 1:
        problems.append(f"{episodes} episodes after {soaked.resets} resets and changes of task")
    return problems


def make_report(soaked: Soaked) -> dict:
    """All figures and problems, as JSON holds them."""
    rows = tenths(soaked)
    seconds = soaked.samples[-1].time_s if soaked.samples else 0.0
    return {
        "seconds": seconds,
        "inferences": len(soaked.inferences),
        "rate_hz": len(soaked.inferences) / seconds if seconds else 0.0,
        "action_chunks": len(soaked.chunks),
        "frames_published": soaked.frames_published,
        "episodes": len({i.episode for i in soaked.inferences}),
        "resets_and_tasks": soaked.resets,
        "problems": drops_of(soaked) + drifts_of(rows),
        "tenths": rows,
        "samples": [asdict(sample) for sample in soaked.samples],
    }


def draw(soaked: Soaked, path: Path) -> None:
    """Latency above, memory and CPU below, over time."""
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(11, 8), sharex=True, layout="constrained"
    )
    times = [i.time_s / 60 for i in soaked.inferences]
    top.plot(times, [i.total_ms for i in soaked.inferences], ".", ms=1, label="total_ms")
    ages = [i.observation_age_ms for i in soaked.inferences]
    top.plot(times, ages, ".", ms=1, label="observation_age_ms")
    rows = tenths(soaked)
    for name, colour in (("total_ms", "tab:blue"), ("observation_age_ms", "tab:orange")):
        ends, medians = [r["end_s"] / 60 for r in rows], [r[name] for r in rows]
        top.plot(ends, medians, "o-", color=colour, mec="black", label=f"{name}, median")
    top.set(ylabel="ms", ylim=(0, None), title="Soak of the policy node: latency, memory, CPU")
    top.legend(fontsize=8, loc="upper right")
    minutes = [s.time_s / 60 for s in soaked.samples]
    middle.plot(minutes, [s.memory_mb for s in soaked.samples])
    middle.set(ylabel="resident memory [MB]")
    bottom.plot(minutes, [s.cpu * 100 for s in soaked.samples])
    bottom.set(ylabel="CPU [% of a core]", xlabel="minutes", ylim=(0, None))
    figure.savefig(path, dpi=110)
    plt.close(figure)
