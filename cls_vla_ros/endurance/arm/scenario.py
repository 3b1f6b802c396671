"""What one sequence is made of, drawn from its seed."""

from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.stamps import NS

JOINTS = ["shoulder", "elbow", "gripper"]
BASE = "drive"
HOME = np.array([0.3, -0.4, 0.06])
LOWER, UPPER = np.array([-0.9, -1.2, 0.0]), np.array([1.2, 1.0, 0.09])
BEGINS_NS = 1000 * NS
DT_S, RATE_HZ = 1 / 30, 50.0
MAX_AGE_S, TIMEOUT_S = 0.3, 0.5
FOLLOWING, FOLLOWING_S = 0.15, 0.3
FIRST_STEP = np.array([0.2, 0.2, 0.02])  # what limits.first_step is if it is not set
CHUNK, STREAM = "chunk", "stream"
ARM, HAND, WHEELS = "arm", "hand", "wheels"
# Names and parameters of what the actions go to. A gripper that is an action is apart.
WHOLE = {"action.kind": "joint_positions"}
APART = {
    "action.outputs": [ARM, HAND],
    "output.arm.names": JOINTS[:2],
    "output.hand.names": JOINTS[2:],
}
MOBILE = {
    "action.outputs": [ARM, WHEELS],
    "output.arm.names": JOINTS,
    "output.wheels.names": [BASE],
    "output.wheels.type": "twist",
    "output.wheels.rename": ["linear.x"],
}
KINDS = {
    "trajectories": (CHUNK, WHOLE),
    "array": (STREAM, WHOLE),
    "joint_state": (STREAM, WHOLE | {"execution.command": "joint_state"}),
    "points": (STREAM, WHOLE | {"execution.command": "joint_trajectory"}),
    "trajectories and gripper": (CHUNK, APART | {"output.hand.type": "gripper_command"}),
    "array and gripper": (
        STREAM,
        APART
        | {"output.arm.type": "float64_multi_array"}
        | {"output.hand.type": "parallel_gripper_command"},
    ),
    "trajectories and base": (CHUNK, MOBILE),
    "array and base": (STREAM, MOBILE | {"output.arm.type": "float64_multi_array"}),
}
EVENTS = (
    *("pause", "stop", "reset", "deactivate", "hand", "grasp", "let go", "joints fall silent"),
    *("cameras fall silent", "NaN", "leap", "far", "raise", "hang", "node is held up"),
    *("goals are refused", "gripper dies", "blocked", "task", "takeover", "controller dies"),
)


@dataclass(frozen=True)
class Event:
    """Something that happens.

    Attributes:
        at_s: when.
        what: one of EVENTS.
        for_s: for how long.
        size: from 0 to 1, of what has a size.
    """

    at_s: float
    what: str
    for_s: float
    size: float


@dataclass(frozen=True)
class Scenario:
    """One sequence.

    Attributes:
        seed: of it, and of all that is drawn while it runs.
        kind: one of KINDS.
        parameters: of the node.
        velocity: (3,) limits that are set; infinity for none.
        acceleration: (3,) likewise.
        from_desired: of the trajectory controller.
        turns: whether the shoulder turns without end, and its driver says so within half a turn.
        ends: (3,) beyond which no joint goes.
        events: in order.
        random_s: for how long anything happens.
        calm_s: for how long nothing does, after that.
        latency_s: of an inference, at most.
        latency_jitter: which share of that varies.
        stamp_jitter_s: by how much a frame's stamp is early.
        transport_s: how long a message takes, at most.
        noise: of a chunk as a whole, rad.
        speed: of what the policy does, rad/s.
    """

    seed: int
    kind: str
    parameters: dict
    velocity: np.ndarray
    acceleration: np.ndarray
    from_desired: bool
    turns: bool
    ends: tuple[np.ndarray, np.ndarray]
    events: list[Event]
    random_s: float
    calm_s: float
    latency_s: float
    latency_jitter: float
    stamp_jitter_s: float
    transport_s: float
    noise: float
    speed: float

    @property
    def mode(self) -> str:
        """Execution.mode."""
        return KINDS[self.kind][0]

    @property
    def names(self) -> list[str]:
        """Of the action values."""
        return [*JOINTS, BASE] if self.kind.endswith("base") else JOINTS


def draw(seed: int, random_s: float = 3.0) -> Scenario:
    """The same for the same seed.

    Args:
        seed: of the sequence.
        random_s: for how long anything happens.
    """
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(KINDS)))
    mode, outputs = KINDS[kind]
    names = [*JOINTS, BASE] if kind.endswith("base") else JOINTS
    has_velocity, has_acceleration = rng.random() < 0.6, rng.random() < 0.6
    velocity = np.array([1.0, 1.5, 0.2]) if has_velocity else np.full(3, np.inf)
    acceleration = np.array([5.0, 8.0, 2.0]) if has_acceleration else np.full(3, np.inf)
    turns = bool(rng.random() < 0.25)
    endless = [float("inf")] * (len(names) - 3)
    parameters = outputs | {
        "policy.path": "simulated",
        "cameras": ["front"],
        "state.joints": JOINTS,
        "state.units": ["rad", "rad", "m"],
        "action.names": names,
        "action.units": ["rad", "rad", "m", "m"][: len(names)],
        "action.dt_s": DT_S,
        "execution.mode": mode,
        "execution.rate_hz": RATE_HZ,
        "execution.blend_s": float(rng.choice([0.0, 0.1, 0.2, 0.4])),
        "execution.hold_publish_s": float(rng.choice([0.0, 0.0, 0.5])),
        "execution.rtc": str(rng.choice(["on", "off"])),
        "limits.mode": str(rng.choice(["refuse", "refuse", "clamp"])),
        "limits.velocity": [*velocity.tolist(), *endless],
        "limits.acceleration": [*acceleration.tolist(), *endless],
        "limits.following_error": [FOLLOWING, FOLLOWING, *[float("inf")] * (len(names) - 2)],
        "limits.continuous": JOINTS[:1] if turns else [],
    }
    ends = LOWER.copy(), UPPER.copy()
    if turns:
        ends[0][0], ends[1][0] = -np.inf, np.inf
    if rng.random() < 0.5:
        parameters |= {
            "limits.lower": [*ends[0].tolist(), *(-end for end in endless)],
            "limits.upper": [*ends[1].tolist(), *endless],
        }
    return Scenario(
        seed=seed,
        kind=kind,
        parameters=parameters,
        velocity=velocity,
        acceleration=acceleration,
        from_desired=bool(rng.random() < 0.8),
        turns=turns,
        ends=ends,
        events=_events(rng, random_s),
        random_s=random_s,
        calm_s=2.5,
        latency_s=float(rng.uniform(0.0, 0.4)),
        latency_jitter=float(rng.uniform(0.0, 1.0)),
        stamp_jitter_s=float(rng.choice([0.0, 0.0, 0.02, 0.06])),
        transport_s=float(rng.choice([0.0, 0.01, 0.02])),
        noise=float(rng.choice([0.0, 0.01, 0.03])),
        speed=float(rng.uniform(0.0, 1.2)),
    )


def _events(rng: np.random.Generator, until_s: float) -> list[Event]:
    events, at_s = [], 0.3
    while (at_s := at_s + float(rng.exponential(0.3))) < until_s - 0.2:
        longest_s = min(1.0, until_s - at_s)
        events.append(
            Event(
                at_s,
                str(rng.choice(EVENTS)),
                float(rng.uniform(0.02, longest_s)),
                float(rng.uniform(0, 1)),
            )
        )
    return events
