"""Between the node's outputs and the arm: messages that take their time, and controllers."""

import numpy as np

from cls_vla_ros.endurance.arm.controllers import (
    PositionController,
    TrajectoryController,
    values_of,
)
from cls_vla_ros.endurance.arm.gripper_server import GripperServer
from cls_vla_ros.endurance.arm.scenario import JOINTS, RATE_HZ, STREAM, Scenario
from cls_vla_ros.endurance.arm.watch import Watch
from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.node.output.gripper import GripperGoals
from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.settings import OutputSettings, Settings
from cls_vla_ros.robot.stamps import NS

CYCLE_S = 0.01
WELL_S = 1.0  # so soon before the end must have been commands
FOLLOWS = 0.062  # m: a goal is sent ten times a second, and 0.6 m/s is the limit


class Links:
    """All outputs of a node."""

    def __init__(
        self,
        scenario: Scenario,
        settings: Settings,
        output: ActionOutput,
        watch: Watch,
        world,
        rng: np.random.Generator,
    ) -> None:
        """Connect the outputs.

        Args:
            scenario: how long messages take.
            settings: with the outputs.
            output: is connected.
            watch: sees every command.
            world: knows the time, and the arm.
            rng: of the transport.
        """
        self._world, self._watch = world, watch
        self._setpoint = world.body.position.copy()
        self._gripper: GripperServer | None = None
        self._goals_at_stop: int | None = None
        self._links: list[Link] = []
        output.action_chunk = _Publisher(watch.chunk)
        for number, of_output in enumerate(settings.action.outputs):
            if of_output.type in outputs.GRIPPERS:
                self._gripper = GripperServer()
                sender = GripperGoals(
                    self._gripper, of_output, lambda *_: None, lambda: world.now_s
                )
                output.connect(number, _Publisher(self._goal(sender)), _Publisher(self._previewed))
            else:
                link = Link(of_output, scenario, watch, world, rng)
                self._links.append(link)
                output.connect(number, link, _Publisher(self._previewed))

    def _previewed(self, message) -> None:
        if self._watch.may_command:
            self._watch.wrong("a preview of what is commanded")

    def _goal(self, sender: GripperGoals):
        def publish(goal) -> None:
            if not self._watch.may_command:
                self._watch.wrong("a gripper's goal that nobody allows")
            position = goal.command.position
            self._watch.command("hand", JOINTS[2:], np.atleast_1d(np.array(position, float)))
            self._wanted = float(np.atleast_1d(position)[0])
            sender.publish(goal)

        return publish

    _wanted: float | None = None
    are_given_away = _are_dead = _commands = False

    def step(self, now_ns: int) -> None:
        """A cycle."""
        for link in self._links:
            link.step(now_ns)
        self._watch.is_cut_off = self._are_dead or self._watch.is_new
        if self._gripper is not None:
            self._gripper.step()

    def setpoint(self) -> np.ndarray:
        """(3,) what the servos get."""
        for link in self._links:
            if link.controller is not None:
                self._setpoint[link.index] = link.controller.command
        if self._gripper is not None and self._gripper.goal is not None:
            self._setpoint[2] = self._gripper.goal
        return self._setpoint

    def changed(self, commands: bool) -> None:
        """Somebody stops the node, or lets it go on: what then moves begins at rest."""
        if commands == self._commands:
            return
        self._commands = commands
        if self._world.scenario.mode == STREAM:
            self._watch.stands()
        self._watch.stands("hand")

    def give_away(self) -> None:
        """Other controllers have the arm."""
        self.are_given_away = True
        self._activate_all(False)

    def take_back(self, position: np.ndarray) -> None:
        """They give it back, where it is."""
        self.are_given_away = False
        self._activate_all(True)
        if self._gripper is not None:
            self._gripper.goal = None
            self._setpoint[2] = position[2]

    def refuse(self, refuses: bool) -> None:
        """The gripper's controller refuses its goals, or no longer."""
        if self._gripper is not None:
            self._gripper.refuses = refuses

    def die(self, who: str) -> None:
        """The controller of the "gripper" or of the "arm" is killed."""
        if who == "arm":
            self._are_dead = True
            self._activate_all(False)
        elif self._gripper is not None:
            self._gripper.die()
            self._setpoint[2] = self._world.body.position[2]

    def come_back(self, who: str) -> None:
        """And started again."""
        if who == "arm":
            self._are_dead = False
            self._activate_all(True, is_known=False)
        elif self._gripper is not None:
            self._gripper.come_back()

    def _activate_all(self, active: bool, *, is_known: bool = True) -> None:
        position = self._world.body.position
        for link in self._links:
            if link.controller is None:
                continue
            if not active:
                link.controller.is_active = False
            elif not self.are_given_away and not self._are_dead:
                link.controller.activate(position[link.index])
                if not link.is_played:
                    here = position[link.index]
                    self._watch.begins_at(link.name, here, is_known=is_known)

    def are_well(self) -> None:
        """At the end, when nothing has been the matter for a while."""
        for link in self._links:
            if link.is_played and self._world.now_s - link.last_s > WELL_S:
                self._watch.wrong(f"{link.name}: no command since {link.last_s:.2f} s")
        if self._gripper is not None:
            goal, wanted = self._gripper.goal, self._wanted
            if goal is None or wanted is None or abs(goal - wanted) > FOLLOWS:
                self._watch.wrong(f"hand: the goal is {goal}, and the command {wanted}")


class Link:
    """One output and its controller. It is the output's publisher."""

    def __init__(
        self,
        output: OutputSettings,
        scenario: Scenario,
        watch: Watch,
        world,
        rng: np.random.Generator,
    ) -> None:
        """Connect; see `Links`."""
        self.name, self.last_s = output.name or output.topic, -np.inf
        self.is_played = outputs.is_played(output, scenario.mode)
        self._watch, self._world, self._rng = watch, world, rng
        self._transport_s = scenario.transport_s
        self._on_its_way: list[tuple[int, object]] = []
        self.controller = None
        self.joints = [name for name in output.names if name in JOINTS]
        self.index = [JOINTS.index(name) for name in self.joints]
        position = world.body.position[self.index]
        if output.type == outputs.TRAJECTORY:
            self.controller = TrajectoryController(
                self.joints, position, CYCLE_S, from_desired=scenario.from_desired
            )
        elif output.type not in outputs.TWISTS:
            self.controller = PositionController(self.joints, position)
        # A controller that begins at the joints leaps back to them by itself.
        self._sees_setpoint = output.type == outputs.TRAJECTORY and scenario.from_desired
        self._zeros = 0

    def publish(self, message) -> None:
        """As the node's publisher."""
        now_s = self._watch.now_s
        self.last_s = now_s
        if self.controller is None:
            self._base(message)
            return
        if not self._watch.may_command:
            self._watch.wrong(f"{self.name}: a command that nobody allows")
        if self.is_played:
            self._watch.command(self.name, self.joints, self._values(message))
        else:
            self._watch_trajectory(message)
        due_ns = self._world.now_ns() + round(self._rng.uniform(0, self._transport_s) * NS)
        if self._on_its_way:
            due_ns = max(due_ns, self._on_its_way[-1][0])
        self._on_its_way.append((due_ns, message))

    def _values(self, message) -> np.ndarray:
        if hasattr(message, "points"):
            (point,) = message.points
            if abs(point.time_from_start.nanosec - NS / RATE_HZ) > 1:
                self._watch.wrong(f"{self.name}: a point after {point.time_from_start}")
            return np.array(point.positions)
        return values_of(message, self.joints)

    def _watch_trajectory(self, message) -> None:
        if any(abs(v) > 1e-9 for v in message.points[-1].velocities):
            self._watch.wrong(f"{self.name}: a trajectory that does not end at rest")

    def _base(self, message) -> None:
        if not self._watch.may_command and message.linear.x:
            self._watch.wrong(f"{self.name}: it drives after a stop")

    def step(self, now_ns: int) -> None:
        """A cycle of the controller."""
        while self._on_its_way and self._on_its_way[0][0] <= now_ns:
            self.controller.take(self._on_its_way.pop(0)[1], now_ns)
            if self.controller.is_active:
                self._watch.told(self.name)
        if self.controller is None:
            return
        body = self._world.body
        if self.controller.is_active:
            self.controller.update(now_ns, body.position[self.index], body.velocity[self.index])
        if not self.is_played and self.controller.is_active:
            look = self._watch.command if self._sees_setpoint else self._watch.note
            look(self.name, self.joints, self.controller.command)
        for problem in getattr(self.controller, "refused", ()):
            if problem:
                self._watch.wrong(f"{self.name}: the controller refuses: {problem}")
                self.controller.refused.clear()


class _Publisher:
    def __init__(self, publish) -> None:
        self.publish = publish
