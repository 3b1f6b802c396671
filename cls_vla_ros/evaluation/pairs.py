"""The pairs of an episode, scored as the node would see them, as recorded and under nuisances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.loading import guarded_cameras
from cls_vla_ros.evaluation.measures.detection import NUISANCE, Pairs, kinds_of
from cls_vla_ros.evaluation.measures.disturbed import WITHOUT_ONSET, under
from cls_vla_ros.evaluation.measures.looks import glance_scores, highest_until
from cls_vla_ros.evaluation.measures.traces import (
    Trace,
    differences,
    joint_distances,
    motions,
    record,
    similarities,
)
from cls_vla_ros.inference import PolicyServer, ReuseLimits, SceneGate, Session
from cls_vla_ros.recordings.episodes import Episode, frame_period_s
from cls_vla_ros.robot.parameters.parameters import Parameters

GATE, GUARD, GLANCE = "gate", "guard", "glance"
FLOOR = 1e-6  # of what a score is divided by


def eye_of(server: PolicyServer, limits: ReuseLimits) -> str:
    """What looks at every frame: "glance", or "guard" where the policy has none, or it is off."""
    return GLANCE if server.glance is not None and limits.glance_threshold < 1 else GUARD


@dataclass(frozen=True)
class UnderNuisance:
    """The pairs of an episode under one nuisance.

    Attributes:
        steady: it is in both frames.
        onset: it is in the later alone, and the scene is the same: all alarms are false ones.
            None for one that grows slowly.
    """

    steady: Pairs
    onset: Pairs | None


class Scorer:
    """Scores pairs of frames by all that there is, with the node's thresholds."""

    def __init__(self, server: PolicyServer, parameters: Parameters) -> None:
        """Read the parameters.

        Args:
            server: of the policy.
            parameters: the node's.
        """
        self._server = server
        cameras = parameters.read().cameras
        self.limits = parameters.reuse_limits(cameras, server.config)
        self.guarded = guarded_cameras(parameters, server)
        session = Session(0.5, 0, has_gate=True, is_trained=True)
        parameters.set_thresholds(session, server.config)
        self.eye = eye_of(server, self.limits)
        self._gate = SceneGate(session.threshold, session.thresholds_by_interval)

    def pairs(self, before: Trace, now: Trace, frames: int) -> Pairs:
        """Scores and alarms of each frame, against that `frames` before.

        Args:
            before: of F frames, of which one is that of the previous full inference.
            now: of the same episode, perhaps disturbed.
            frames: between the two.
        """
        similarity = similarities(before.obs_cls_out, now.obs_cls_out, frames)
        interval_s = frames * frame_period_s(now.stamps_s)
        thresholds = np.array(
            [self._gate.threshold_at(interval_s, motion) for motion in motions(now, frames)]
        )
        scores, alarms = {GATE: -similarity}, {GATE: similarity <= thresholds}
        if self.guarded:
            scores[GUARD] = self._differences(before, now, frames, all_between=True)
            limits = {GUARD: self.limits.guard_threshold, GLANCE: self.limits.glance_threshold}
            if self.eye == GLANCE:
                scores[GLANCE] = self._glances(before, now, frames)
            for eye in dict.fromkeys((self.eye, GUARD)):
                alarms[eye] = scores[eye] > limits[eye]
            both = f"{GATE}_and_{self.eye}"
            scores[both] = np.maximum(
                (1 - similarity) / np.maximum(1 - thresholds, FLOOR),
                scores[self.eye] / max(limits[self.eye], FLOOR),
            )
            alarms[both] = alarms[GATE] | alarms[self.eye]
            scores["pixels"] = self._differences(before, now, frames, all_between=False)
        scores["joints"] = joint_distances(now, frames)
        return Pairs(kinds_of(now.events or [], now.stamps_s, frames), scores, alarms, frames)

    def _glances(self, before: Trace, now: Trace, frames: int) -> np.ndarray:
        looks = self._server.glance, before.looks, now.looks
        return highest_until([glance_scores(*looks, k) for k in range(1, frames + 1)])

    def _differences(self, before: Trace, now: Trace, frames: int, *, all_between: bool):
        small = before.thumbnails, now.thumbnails
        return differences(*small, frames, self.guarded, all_between=all_between)

    def under_nuisances(
        self, episode: Episode, trace: Trace, names: Sequence[str], frames: int, seed: int
    ) -> dict[str, UnderNuisance]:
        """The pairs of an episode under each nuisance.

        Args:
            episode: as it was recorded.
            trace: of it.
            names: of the nuisances.
            frames: between the two of a pair.
            seed: of what is drawn, and of the noise.
        """
        found = {}
        for name in names:
            other = record(
                self._server, under(episode, name, seed), guarded=self.guarded, seed=seed
            )
            onset = None
            if name not in WITHOUT_ONSET:
                onset = self.pairs(trace, other, frames)
                onset = onset.only(~onset.changed).as_kind(NUISANCE)
            found[name] = UnderNuisance(self.pairs(other, other, frames), onset)
        return found
