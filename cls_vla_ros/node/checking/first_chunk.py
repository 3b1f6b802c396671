"""One inference, and what its chunk would command; nobody hears it."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from std_msgs.msg import String

from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Heard
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.policy_source import open_policy
from cls_vla_ros.robot.settings import Settings


@dataclass
class _Kept:
    """In place of the publisher and of the reporter."""

    refusals: list[str] = field(default_factory=list)
    clamps: list[str] = field(default_factory=list)

    def publish(self, message) -> None:
        """Nobody hears it."""

    def hold(self, reason: str) -> None:
        self.refusals.append(reason)

    def refused(self, topic: str, text: str) -> None:
        self.refusals.append(f"{topic}: {text}")

    def clamped(self, text: str) -> None:
        self.clamps.append(text)


@dataclass(frozen=True)
class FirstChunk:
    """What would be commanded.

    Attributes:
        actions: (T, A) in ROS units, as the policy says them: before any limit.
        now: (A,) where the joints are, ROS units; NaN where that is unknown.
        latency_ms: of a warm inference.
        device: where it was made.
    """

    actions: np.ndarray
    now: np.ndarray
    latency_ms: float
    device: str


def first_chunk(
    settings: Settings, heard: Heard, urdf: str, findings: Findings, say
) -> FirstChunk:
    """Load the policy, infer once warm, and let the node's own checks look at the chunk.

    Args:
        settings: from the parameters.
        heard: with a snapshot.
        urdf: the robot_description; may be empty.
        findings: get why the chunk would be refused or clamped.
        say: gets a line at each stage of loading.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it cannot be used.
    """
    snapshot, kept = heard.snapshot, _Kept()
    server, _ = open_policy(settings, 0, "check", say)
    try:
        inference = server.infer(snapshot.observation, episode=0)
        # When it would be ready, had it been made when the picture came.
        ready_ns = snapshot.newest_frame_ns + round(inference.total_ms * 1e6)
        output = ActionOutput(settings, kept, partial(int, ready_ns), heard.buffer)
        output.action_chunk = kept
        if urdf:
            output.take_robot_description(String(data=urdf))
        output.take(Result(1, snapshot, 0.0, inference))
        device = str(server.config.device)
    finally:
        server.close()
    findings.bad += [f"the first chunk would not be commanded: {text}" for text in kept.refusals]
    findings.doubts += kept.clamps
    actions = UnitMap.of_settings(settings.action).to_ros(inference.actions)
    now = heard.buffer.positions(settings.action.names)
    return FirstChunk(actions, now, inference.total_ms, device)
