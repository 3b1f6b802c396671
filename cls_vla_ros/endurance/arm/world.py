"""An arm, its sensors, the node, and what happens to them, in simulated time."""

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image, JointState

from cls_vla_ros.endurance.arm.body import Body
from cls_vla_ros.endurance.arm.links import CYCLE_S, Links
from cls_vla_ros.endurance.arm.node import Node
from cls_vla_ros.endurance.arm.policy import Policy
from cls_vla_ros.endurance.arm.says import says
from cls_vla_ros.endurance.arm.scenario import (
    BEGINS_NS,
    DT_S,
    HOME,
    JOINTS,
    RATE_HZ,
    Event,
    Scenario,
)
from cls_vla_ros.endurance.arm.watch import Watch
from cls_vla_ros.robot.parameters.params_file import FileParameters
from cls_vla_ros.robot.stamps import NS

TICK, WATCH = round(1 / RATE_HZ / CYCLE_S), round(0.1 / CYCLE_S)  # in cycles
JOINTS_EVERY, FRAME_EVERY_S = 2, 1 / 30
FASTEST, STRONGEST = np.array([3.0, 3.0, 0.5]), np.array([40.0, 40.0, 10.0])
BY_HAND = np.array([1.0, -1.0, 0.1])  # how fast somebody moves it, at most
OBJECT = 0.05
STANDS_S = 0.5  # after somebody has asked for a pause, and before the arm is taken
HANG_S = 0.7
ARMED_AGAIN_S = 0.3
PICTURE = Image(height=2, width=2, step=6, encoding="rgb8", data=bytes(range(100, 112)))
HELD_BACK = ("pause", "stop", "hand")


class World:
    """One sequence.

    Attributes:
        scenario: what happens.
        body: the arm.
        watch: sees all that is commanded.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Everything at rest, the node active.

        Args:
            scenario: what happens.
        """
        self.scenario = scenario
        self._rng = np.random.default_rng([scenario.seed, 1])
        self._cycle = 0
        self.watch = Watch(scenario)
        settings = FileParameters(scenario.parameters).read()
        self.body = Body(HOME, scenario.ends, FASTEST, STRONGEST)
        self._policy = Policy(DT_S, self._while_inferring)
        self._policy.makes = self._actions
        self.links: Links | None = None
        self.node = Node(settings, self._policy, self.now_ns, lambda: self.now_s, self._changed)
        self.links = Links(scenario, settings, self.node.output, self.watch, self, self._rng)
        self._events = list(scenario.events)
        self._ends: list[tuple[float, str, Callable[[], None]]] = []
        self._until: dict[str, float] = {}  # what is the matter, and how long
        self._sizes: dict[str, float] = {}
        self._frame_due_s, self._stamp_ns = 0.0, 0
        self._phase = float(self._rng.uniform(0, 2 * np.pi))
        self.node.activate()

    def now_ns(self) -> int:
        """ROS time."""
        return BEGINS_NS + round(self.now_s * NS)

    @property
    def now_s(self) -> float:
        """Since the beginning."""
        return self._cycle * CYCLE_S

    def run(self) -> list[str]:
        """All of it.

        Returns:
            What was wrong.
        """
        end_s = self.scenario.random_s + self.scenario.calm_s
        while self.now_s < end_s:
            self._step()
            self.node.infer()
        # Nothing has been the matter for a while: it must go on.
        self.watch.now_s = self.now_s
        if end_s - self.watch.last_chunk_s > 1.0:
            said = self.node.reporter.said
            self.watch.wrong(f"no chunk since {self.watch.last_chunk_s:.2f} s: {said}")
        self.links.are_well()
        return self.watch.problems

    # Time goes on

    def _while_inferring(self) -> None:
        if self._is("raise"):
            raise ZeroDivisionError("division by zero")
        s = self.scenario
        share = 1 - s.latency_jitter * self._rng.random()
        end_s = self.now_s + s.latency_s * share + (HANG_S if self._is("hang") else 0.0)
        while self.now_s < end_s:
            self._step()

    def _step(self) -> None:
        self._cycle += 1
        self.watch.now_s = now_s = self.now_s
        self._happen(now_s)
        if self._cycle % JOINTS_EVERY == 0 and not self._is("joints fall silent"):
            self._say_where_joints_are()
        if now_s >= self._frame_due_s:
            self._frame_due_s += FRAME_EVERY_S
            if not self._is("cameras fall silent"):
                self._show()
        if self._cycle % WATCH == 0 and not self.node.watch():
            self._ends.append((now_s + ARMED_AGAIN_S, "arm", self.node.arm))
        output = self.node.output
        if self._cycle % TICK == 0 and output.player and not self._is("node is held up"):
            output.tick()
        self.links.step(self.now_ns())
        if self.links.are_given_away and self._is("joints fall silent"):
            self.body.move_by_hand(0 * BY_HAND, CYCLE_S)  # nobody could know
        elif self.links.are_given_away:
            speed = self._sizes.get("hand", 0.0) - self._sizes.get("takeover", 0.0)
            self.body.move_by_hand(BY_HAND * speed, CYCLE_S)
        else:
            self.body.step(self.links.setpoint(), CYCLE_S)

    def _say_where_joints_are(self) -> None:
        position = self.body.position.copy()
        if self.scenario.turns:
            position[0] = np.angle(np.exp(1j * position[0]))
        message = JointState(
            name=JOINTS, position=position.tolist(), velocity=self.body.velocity.tolist()
        )
        self.node.buffer.put_joint_state(message, self.now_ns(), self.now_ns())
        self.watch.measured(self.body.position.copy())

    def _show(self) -> None:
        early_ns = round(self._rng.uniform(0, self.scenario.stamp_jitter_s) * NS)
        self._stamp_ns = max(self._stamp_ns + 1, self.now_ns() - early_ns)
        self.node.buffer.put_frame("front", PICTURE, self._stamp_ns, self.now_ns())

    def _actions(self, state: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        faults = {what: self._sizes[what] for what in ("NaN", "leap", "far") if self._is(what)}
        is_calm = self.now_s > self.scenario.random_s
        return says(self.scenario, state, times_s, self._phase, faults, self._rng, is_calm)

    # What happens

    def _is(self, what: str) -> bool:
        return self.now_s < self._until.get(what, -1.0)

    def _happen(self, now_s: float) -> None:
        for end in [end for end in self._ends if end[0] <= now_s]:
            if end[1] == "deactivate" and self.node.is_inferring:
                continue  # the node waits for the inference
            self._ends.remove(end)
            if not self._is(end[1]):  # the same has not begun again meanwhile
                end[2]()
        while self._events and self._events[0].at_s <= now_s:
            self._begin(self._events.pop(0))

    def _begin(self, event: Event) -> None:
        what = event.what
        ends_s = event.at_s + event.for_s + (STANDS_S if what == "hand" else 0.0)
        self._until[what] = max(self._until.get(what, 0.0), ends_s)
        self._sizes[what] = event.size
        begin, end = {
            "pause": (lambda: self.node.pause(True), self._go_on),
            "stop": (lambda: self.node.pause(True), self._go_on),
            "deactivate": (self._deactivate, self.node.activate),
            "reset": (self.node.reset, None),
            "task": (self.node.reset, None),
            "hand": (lambda: self.node.pause(True), self._give_back),
            "takeover": (self._take_over, self._give_back),
            "grasp": (self._grasp, None),
            "let go": (self._let_go, None),
            "blocked": (self._block, lambda: self.body.blocked.fill(False)),
            "goals are refused": (lambda: self.links.refuse(True), self._take_goals),
            "gripper dies": (lambda: self.links.die("gripper"), self._gripper_lives),
            "controller dies": (lambda: self.links.die("arm"), self._controller_lives),
        }.get(what, (None, None))
        if begin is not None:
            begin()
        if what == "hand":  # once it stands, as somebody does who has asked for a pause
            self._ends.append((event.at_s + STANDS_S, "", self.links.give_away))
        if end is not None:
            self._ends.append((ends_s, what, end))

    def _go_on(self) -> None:
        if not any(map(self._is, HELD_BACK)):
            self.node.pause(False)

    def _take_over(self) -> None:
        self.node.take_over(True)
        self.links.give_away()

    def _give_back(self) -> None:
        if not self._is("hand") and not self._is("takeover"):
            self.links.take_back(self.body.position)
        self.node.take_over(self._is("takeover"))
        self._go_on()

    def _grasp(self) -> None:
        self.body.holds = min(OBJECT, self.body.position[2])

    def _let_go(self) -> None:
        self.body.holds = 0.0

    def _block(self) -> None:
        self.body.blocked[int(self._sizes["blocked"] * 2)] = True

    def _take_goals(self) -> None:
        self.links.refuse(False)

    def _gripper_lives(self) -> None:
        self.links.come_back("gripper")

    def _controller_lives(self) -> None:
        self.links.come_back("arm")

    def _deactivate(self) -> None:
        if self.node.is_active:
            self.node.deactivate()

    def _changed(self) -> None:
        if self.links is None:
            return
        commands = self.node.output.commands and not self.node.is_stopped
        self.watch.changed(
            stopped=self.node.is_stopped,
            commands=commands,
            episode=self._policy.episode,
            now_ns=self.now_ns(),
        )
        self.links.changed(commands)
