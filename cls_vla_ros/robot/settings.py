"""What the parameters say, as plain values: above all, which topic is which policy feature."""

from dataclasses import dataclass, field

RELIABILITIES = ("best_effort", "reliable")
NODE_NAME = "cls_vla_policy"
COMMANDS = ("float64_multi_array", "joint_state", "joint_trajectory")


@dataclass(frozen=True)
class CameraSettings:
    """One camera.

    Attributes:
        name: its name in the parameters.
        topic: relative to the node's namespace.
        transport: "raw" (sensor_msgs/Image) or "compressed" (sensor_msgs/CompressedImage).
        feature: the policy's name for its pictures, such as "observation.images.front".
        guard: whether the frame guard looks at it.
        reliability: of its subscription, one of RELIABILITIES.
        depth: messages that the subscription keeps.
        allow_several_publishers: whether more than one node may publish on the topic.
    """

    name: str
    topic: str
    transport: str
    feature: str
    guard: bool = True
    reliability: str = "best_effort"
    depth: int = 1
    allow_several_publishers: bool = False


@dataclass(frozen=True)
class SourceSettings:
    """One source of values of observation.state, of each of its V values in order.

    Attributes:
        name: its name in the parameters.
        topic: relative to the node's namespace.
        type: of its messages, one of `state_fields.ROOTS`.
        fields: where each value stands in a message: "position.j1", "twist.linear.x".
        names: what the policy calls each.
        units: the policy's unit of each; see `joints.UNITS`.
        lower: lower end of each range, ROS units; for the percentage units alone.
        upper: upper end.
        offset: see `UnitMap.of`.
        sign: likewise.
        allow_partial: whether a JointState may lack some of the joints.
        reliability: of its subscription.
        depth: messages that the subscription keeps.
        allow_several_publishers: as for a camera; `allow_partial` implies it.
    """

    name: str
    topic: str
    type: str
    fields: list[str]
    names: list[str]
    units: list[str]
    lower: list[float]
    upper: list[float]
    offset: list[float]
    sign: list[float]
    allow_partial: bool
    reliability: str
    depth: int
    allow_several_publishers: bool


@dataclass(frozen=True)
class StateSettings:
    """The values that make observation.state.

    `sources` is the table that the code reads. Without it, it is made of the other attributes: the
    short form, for a robot whose state is the positions of one JointState.

    Attributes:
        topic: of sensor_msgs/JointState.
        joints: their names, in the policy's order.
        units: the policy's unit of each; see `joints.UNITS`.
        lower: lower end of each joint's range, rad or m; for the percentage units alone.
        upper: upper end.
        allow_partial: whether a message may lack some of the joints.
        reliability: of its subscription.
        depth: messages that the subscription keeps.
        offset: see `UnitMap.of`.
        sign: likewise.
        allow_several_publishers: as for a camera; `allow_partial` implies it.
        sources: of the values; `joints` then has all of their names, in the policy's order.
    """

    topic: str
    joints: list[str]
    units: list[str]
    lower: list[float]
    upper: list[float]
    allow_partial: bool
    reliability: str = "best_effort"
    depth: int = 5
    offset: list[float] = field(default_factory=list)
    sign: list[float] = field(default_factory=list)
    allow_several_publishers: bool = False
    sources: tuple[SourceSettings, ...] = ()

    def __post_init__(self) -> None:
        if self.sources:
            return
        short = SourceSettings(
            name="",
            topic=self.topic,
            type="joint_state",
            fields=[f"position.{joint}" for joint in self.joints],
            names=self.joints,
            units=self.units,
            lower=self.lower,
            upper=self.upper,
            offset=self.offset,
            sign=self.sign,
            allow_partial=self.allow_partial,
            reliability=self.reliability,
            depth=self.depth,
            allow_several_publishers=self.allow_several_publishers,
        )
        object.__setattr__(self, "sources", (short,))


@dataclass(frozen=True)
class OutputSettings:
    """Where some of the action's values go; see `robot.action.outputs`.

    Attributes:
        name: its name in the parameters; "" in the short form.
        topic: or the action's name; relative to the node's namespace.
        type: one of `outputs.TYPES`.
        names: of the action values that it takes, in its order.
        rename: what the controller calls each.
        kind: what they are, one of `outputs.KINDS`.
        hold: what it gets when there is nothing to command, one of `outputs.HOLDS`.
        first_step: of each value, ROS units; 0 for any.
        frame_id: of its headers.
        max_effort: of a gripper's goals, N or Nm; 0 for what the controller has.
        goal_step: how far a value must have moved for another goal, ROS units.
        controller: whose `joints` parameter is compared; "" for the one that the topic is of.
    """

    name: str
    topic: str
    type: str
    names: list[str]
    rename: list[str]
    kind: str
    hold: str
    first_step: list[float]
    frame_id: str = ""
    max_effort: float = 0.0
    goal_step: float = 0.0
    controller: str = ""


@dataclass(frozen=True)
class ActionSettings:
    """What the policy's actions are.

    Attributes:
        kind: "joint_positions" (then joint_trajectory is published) or "other".
        names: of each action value; the joints' names where they are joint positions.
        units: the policy's unit of each.
        lower: lower end of each joint's range, rad or m; for the percentage units alone.
        upper: upper end.
        dt_s: time between two steps of a chunk.
        offset: see `UnitMap.of`.
        sign: likewise.
        outputs: where they go. In the short form one, or none where they are no joint positions.
        ignored: names of those that go nowhere but into action_chunk.
    """

    kind: str
    names: list[str]
    units: list[str]
    lower: list[float]
    upper: list[float]
    dt_s: float
    offset: list[float] = field(default_factory=list)
    sign: list[float] = field(default_factory=list)
    outputs: tuple[OutputSettings, ...] = ()
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LimitSettings:
    """What a chunk may ask for.

    Attributes:
        mode: "refuse" or "clamp".
        lower: of each action value, rad or m; empty for none.
        upper: likewise.
        velocity: likewise, rad/s or m/s.
        acceleration: likewise, rad/s² or m/s².
        step: how far a step of a chunk may be from the one before it: "auto", one number for all
            values, or one for each; 0 for no limit.
        continuous: action values that are joints which turn without end.
        from_robot_description: whether a URDF gives those that are not set.
        following_error: of each action value, how far a joint may be from what it is told, rad or
            m; empty for any.
        following_error_s: for how long it may be farther.
    """

    mode: str
    lower: list[float]
    upper: list[float]
    velocity: list[float]
    acceleration: list[float]
    step: str | float | list[float]
    continuous: list[str]
    from_robot_description: bool
    following_error: list[float]
    following_error_s: float


@dataclass(frozen=True)
class ExecutionSettings:
    """Who executes a chunk, and how.

    Attributes:
        mode: "chunk" (others) or "stream" (this node).
        command: type of the commands in stream mode, one of COMMANDS.
        rate_hz: of these.
        blend_s: how long a new chunk takes over.
        hold_publish_s: how long the last command is repeated when there is none.
        rtc: "auto", "on" or "off".
    """

    mode: str
    command: str
    rate_hz: float
    blend_s: float
    hold_publish_s: float
    rtc: str

    @property
    def uses_rtc(self) -> bool:
        """Whether a chunk goes on where the last one will be."""
        return self.rtc == "on" or (self.rtc == "auto" and self.mode == "stream")


@dataclass(frozen=True)
class TakeoverSettings:
    """How a teleoperator takes the arm over by a topic.

    Attributes:
        topic: "" for none.
        type: of its messages, as sensor_msgs/msg/Joy.
        button: of a Joy, whose messages count while it is down; -1: all count.
        fresh_s: how long after the last message it is taken.
    """

    topic: str
    type: str
    button: int
    fresh_s: float


@dataclass(frozen=True)
class Settings:
    """What is read once, when the node is configured.

    Attributes:
        policy_path: a checkpoint's directory, a hub id, or "demo"; "" with a server.
        policy_server, token_file, server_timeout_s, jpeg_quality: parameters policy.*
        device: "auto", "cpu", "cuda" or "cuda:N".
        engine: "auto", "eager" or "cuda_graph".
        dtype: "auto", "float32" or "bfloat16".
        num_steps: of the denoising; 0 for the checkpoint's own.
        seed: of the denoising noise; None for another one every time.
        cameras: one for each picture that the policy is run on.
        state: the joints of observation.state.
        action: the actions.
        limits: of these.
        execution: of these.
        takeover: of the arm, by others.
    """

    policy_path: str
    policy_server: str
    token_file: str
    server_timeout_s: float
    jpeg_quality: int
    device: str
    engine: str
    dtype: str
    num_steps: int
    seed: int | None
    cameras: list[CameraSettings]
    state: StateSettings
    action: ActionSettings
    limits: LimitSettings
    execution: ExecutionSettings
    takeover: TakeoverSettings
