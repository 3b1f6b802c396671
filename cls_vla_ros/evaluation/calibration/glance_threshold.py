"""The threshold of the glance, from ordinary frames: as recorded, and under every nuisance."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.calibration.conformal import Held, Parts, expected, hold, risk
from cls_vla_ros.evaluation.calibration.intervals import DIGITS
from cls_vla_ros.evaluation.measures.detection import ORDINARY, is_change, kinds_of
from cls_vla_ros.evaluation.measures.disturbed import ONSET, STEADY, WITHOUT_ONSET, patched, under
from cls_vla_ros.evaluation.measures.looks import glance_scores, looks_at
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.inference.reuse.glance_look import Look
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Episode


@dataclass(frozen=True)
class Glanced:
    """What the glance says of the pairs of one episode, of all intervals together.

    Attributes:
        ordinary: scores of pairs that show the same scene, by what cameras and light did:
            "ordinary", "jpeg steady" (in both frames), "jpeg onset" (in the later one) and so on.
        changed: those across a change of the scene, labelled or made.
        samples: independent ones among "ordinary", at most.
    """

    ordinary: dict[str, np.ndarray]
    changed: np.ndarray
    samples: float

    @property
    def parts(self) -> Parts:
        return list(self.ordinary.values())


@dataclass(frozen=True)
class GlanceThreshold:
    """What calibration found for the glance.

    Attributes:
        threshold: its score above this says that the scene has changed.
        held: what that holds.
        episodes: what it was found from.
    """

    threshold: float
    held: Held
    episodes: Sequence[Glanced]

    @property
    def expected(self) -> dict[str, float | None]:
        """False alarms in a new episode, see `conformal.expected`."""
        cuts = _at_least(self.held.without)
        rates = [risk(of.parts, cut) for of, cut in zip(self.episodes, cuts, strict=True)]
        known = np.isfinite(self.held.without)
        return expected(np.where(known, rates, np.nan), sum(of.samples for of in self.episodes))

    def to_values(self) -> dict[str, object]:
        """For the report: shares of alarms in these episodes at the threshold."""
        changed = np.concatenate([of.changed for of in self.episodes])
        shares = {
            name: float(np.nanmean([risk([of.ordinary[name]], self.threshold) for of in having]))
            for name in self.episodes[0].ordinary
            if (having := [of for of in self.episodes if len(of.ordinary[name])])
        }
        return {
            "threshold": self.threshold,
            "promised": self.held.promised,
            "false_alarms_expected": self.expected,
            "false_alarms": shares,
            "miss_rate": float((changed <= self.threshold).mean()) if len(changed) else None,
        }


def find_glance_threshold(episodes: Sequence[Glanced], share: float) -> GlanceThreshold:
    """The lowest threshold that keeps the share of false alarms in a further episode.

    As recorded, and steady or just begun, every nuisance weighs the same.

    Args:
        episodes: of calibration.
        share: asked for, in (0, 1).

    Raises:
        ValueError: there are no ordinary pairs.
    """
    held = hold([of.parts for of in episodes], share)
    if held is None:
        raise ValueError("no ordinary pairs for the glance: record more or longer episodes")
    return GlanceThreshold(float(_at_least(held.cut)), held, episodes)


def _at_least(cut: np.ndarray | float) -> np.ndarray:
    """Rounded up, so that nothing alarms that did not at the cut."""
    return np.clip(np.ceil(np.asarray(cut) * 10**DIGITS) / 10**DIGITS, 0, 1)


def glance_over(
    server: PolicyServer,
    episode: Episode,
    trace: Trace,
    frames: Sequence[int],
    cameras: Collection[str],
    seed: int,
    on_look: Callable[[], None] = lambda: None,
) -> Glanced:
    """Let the glance look at an episode, as recorded and under every nuisance.

    Args:
        server: of a policy with a trained glance.
        episode: where it has no events, changes are made by pasting patches.
        trace: of it.
        frames: between two looks; those that the episode is too short for have no part.
        cameras: features of the pictures that it looks at.
        seed: of nuisances and patches.
        on_look: called after each pass over the episode, 1 + number of nuisances.
    """
    glance, usual = server.glance, looks_at(server, episode, cameras)
    frames = [k for k in frames if k < len(usual)]
    changes = {k: is_change(kinds_of(trace.events or [], trace.stamps_s, k)) for k in frames}

    def scores(before: list[Look], now: list[Look], *, changed: bool) -> np.ndarray:
        parts = [glance_scores(glance, before, now, k)[changes[k] == changed] for k in frames]
        return np.concatenate([np.zeros(0), *parts])

    ordinary = {ORDINARY: scores(usual, usual, changed=False)}
    on_look()
    for name in NAMED:
        other = looks_at(server, under(episode, name, seed), cameras)
        ordinary[f"{name} {STEADY}"] = scores(other, other, changed=False)
        if name not in WITHOUT_ONSET:
            ordinary[f"{name} {ONSET}"] = scores(usual, other, changed=False)
        on_look()
    if episode.events:
        changed = scores(usual, usual, changed=True)
    else:
        other = looks_at(server, patched(episode, seed), cameras)
        changed = np.concatenate(
            [scores(usual, other, changed=False), scores(other, usual, changed=False)]
        )
    samples = sum((~changes[k]).sum() / k for k in frames) / max(len(frames), 1)
    return Glanced(ordinary, changed, float(samples))
