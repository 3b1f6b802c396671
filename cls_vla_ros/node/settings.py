"""What the parameters say, as plain values: above all, which topic is which policy feature."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraSettings:
    """One camera.

    Attributes:
        name: its name in the parameters.
        topic: relative to the node's namespace.
        transport: "raw" (sensor_msgs/Image) or "compressed" (sensor_msgs/CompressedImage).
        feature: the policy's name for its pictures, such as "observation.images.front".
        guard: whether the frame guard looks at it.
    """

    name: str
    topic: str
    transport: str
    feature: str
    guard: bool = True


@dataclass(frozen=True)
class StateSettings:
    """The joints that make observation.state.

    Attributes:
        topic: of sensor_msgs/JointState.
        joints: their names, in the policy's order.
        units: the policy's unit of each; see `joints.UNITS`.
        lower: lower end of each joint's range, rad or m; for the percentage units alone.
        upper: upper end.
        allow_partial: whether a message may lack some of the joints.
    """

    topic: str
    joints: list[str]
    units: list[str]
    lower: list[float]
    upper: list[float]
    allow_partial: bool


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
    """

    kind: str
    names: list[str]
    units: list[str]
    lower: list[float]
    upper: list[float]
    dt_s: float


@dataclass(frozen=True)
class Settings:
    """What is read once, when the node is configured.

    Attributes:
        policy_path: a checkpoint's directory, a hub id, or "demo".
        device: "auto", "cpu", "cuda" or "cuda:N".
        engine: "auto", "eager" or "cuda_graph".
        dtype: "auto", "float32" or "bfloat16".
        num_steps: of the denoising; 0 for the checkpoint's own.
        seed: of the denoising noise; None for another one every time.
        cameras: one for each picture that the policy takes.
        state: the joints of observation.state.
        action: the actions.
    """

    policy_path: str
    device: str
    engine: str
    dtype: str
    num_steps: int
    seed: int | None
    cameras: list[CameraSettings]
    state: StateSettings
    action: ActionSettings
