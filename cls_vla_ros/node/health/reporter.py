"""What goes wrong is said twice: at once in the log, and every second on /diagnostics."""

from __future__ import annotations

import math
import re
import time
import traceback
from typing import TYPE_CHECKING

from cls_vla_ros.inference import Reason, Statistics
from cls_vla_ros.node.health.diagnostics import BLIND, Health
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.settings import Settings

if TYPE_CHECKING:
    from cls_vla_ros.inference import Session
    from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

NUMBER = re.compile(r"(?<![\w.])\d[\d.]*")
COMPLAINT_PERIOD_S = 2.0
SAME_COMPLAINT_PERIOD_S = 30.0


class Reporter:
    """Thread-safe as far as its logger is: at worst, two threads log one complaint each."""

    def __init__(self, logger) -> None:
        """Start with nothing said.

        Args:
            logger: of the node.
        """
        self._logger = logger
        self.health = Health()
        self._logged: dict[str, float] = {}  # when each source was last, and each of its texts

    def configured(self, settings: Settings, config: CLSSmolVLAConfig, took_s: float) -> None:
        """The policy is loaded, and the topics are connected."""
        self._logger.info(
            f"configured in {took_s:.1f} s: policy on {config.device}, "
            f"{len(settings.cameras)} cameras, {len(settings.state.joints)} joints, "
            f"{len(settings.action.names)} action values"
        )
        if config.use_cls_head and not config.cls_head_trained:
            self._logger.warning(
                "the CLS head of this policy is untrained: similarity and scene changes mean "
                "nothing yet"
            )

    def good(self, result: Result) -> None:
        """An inference was published."""
        self.health.good(result)
        if result.inference.reason is Reason.GATE_BLIND:
            self._complain("gate", f"the gate is {BLIND}")

    def hold(self, reason: str) -> None:
        """No action is published, and this is why."""
        self.health.hold(reason)
        self._complain("hold", f"holding, no action is published: {reason}")

    def say(self, text: str) -> None:
        """Something to know, once."""
        self._logger.info(text)

    def authority(self, commands: bool, why: str) -> None:
        """Controllers get the actions from now on, or no longer."""
        if commands:
            self._logger.info("armed: controllers get the actions from now on")
        else:
            self._logger.info(f"controllers get nothing from now on: {why}")

    def disarmed(self, reason: str) -> None:
        """A fault has stopped the arm, and somebody must look at it."""
        self.health.error(f"stopped and disarmed: {reason}")
        self._logger.error(f"stopped and disarmed: {reason}")

    def refused(self, topic: str, text: str) -> None:
        """A message was not used."""
        self.health.refused(topic, text)
        self._complain(topic, f"message on {topic} refused: {text}")

    def not_taken(self, name: str, text: str) -> None:
        """A controller takes no commands; the others go on."""
        self.health.refused(name, text)
        self._complain(name, f"{name}: {text}")

    def note(self, topic: str, text: str) -> None:
        """Something to know that is no fault."""
        self._complain(topic, text)

    def clamped(self, text: str) -> None:
        """A chunk was changed before it was published."""
        self.health.clamped(text)
        self._complain("limits", text)

    def hanging(self, seconds: float) -> None:
        """An inference takes far too long."""
        text = f"the inference has been under way for {seconds:.1f} s: nothing is commanded"
        self.health.error(text)
        self._complain("inference", text)

    def inference_failed(self, error: Exception) -> None:
        """An inference raised; the node goes on."""
        self.health.error(f"the inference failed: {type(error).__name__}: {error}")
        self._complain("inference", describe("the inference", error))

    def episode_ended(self, cause: str, episode: int, statistics: Statistics) -> int:
        """An episode was reset.

        Args:
            cause: why.
            episode: number of the new one.
            statistics: of the one that ended.

        Returns:
            The number of the new one.
        """
        begins = f"episode {episode} begins: {cause}"
        self.health.episode_began(begins)
        self._logger.info(f"{begins}; the last one: {statistics.summary()}")
        return episode

    def ended(self, session: Session, *, is_ros_up: bool) -> None:
        """A run is over. After a signal, ROS's log is closed already."""
        say = self._logger.info if is_ros_up else print
        say(f"episode {session.episode}: {session.statistics.summary()}")
        say(f"in total: {session.total.summary()}")

    def transition_failed(self, name: str, error: Exception) -> None:
        """A lifecycle transition raised."""
        self.health.error(f"{name} failed: {error}")
        self._logger.error(describe(name, error))

    def device_failed(self, error: Exception) -> None:
        """Nothing more can be inferred."""
        self.health.error(str(error))
        self._logger.error(f"giving up the policy: {error}")

    def _complain(self, source: str, text: str) -> None:
        """Log, but not at camera rate: the same from one source only every 30 seconds.

        It is the same with other numbers too, and where another text came between.
        """
        now, same = time.monotonic(), f"{source}: {NUMBER.sub('…', text)}"
        logged = {k: at for k, at in self._logged.items() if now - at < SAME_COMPLAINT_PERIOD_S}
        self._logged = logged
        if now - logged.get(source, -math.inf) < COMPLAINT_PERIOD_S or same in logged:
            return
        logged[source] = logged[same] = now
        self._logger.warning(text)


def describe(what: str, error: Exception) -> str:
    """What failed and why; with its traceback where the error is not one that we foresee."""
    text = f"{what} failed: {type(error).__name__}: {error}"
    if isinstance(error, (ValueError, OSError)):
        return text
    return text + "\n" + "".join(traceback.format_exception(error))
