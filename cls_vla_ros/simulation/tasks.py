"""The simulated tasks, and what a recording of them holds. Nothing here needs the simulator."""

from dataclasses import dataclass

HEIGHT, WIDTH = 240, 320  # of both pictures
STEPS_PER_FRAME = 3  # the simulator steps three times for each frame of the cameras
START_NS = 1_700_000_000 * 10**9  # stamp of a recording's first frame
JPEG_QUALITY = 90  # of the wrist camera
SHADOW_PIXELS = 4096  # side of the map that shadows are drawn from: Meta-World's
MAX_STEPS = 500  # then Meta-World ends an episode
JOINTS = (*(f"right_j{i}" for i in range(7)), "r_close", "l_close")
ACTIONS = ("dx", "dy", "dz", "grip")


@dataclass(frozen=True)
class SimTask:
    """A task of Meta-World.

    Attributes:
        body: the MuJoCo body that is moved where the object is said to move.
        instruction: in words.
    """

    body: str
    instruction: str


TASKS = {
    "drawer-open-v3": SimTask("drawer", "open the drawer"),
    "button-press-topdown-v3": SimTask("box", "press the button"),
    "door-open-v3": SimTask("door", "open the door"),
    "window-open-v3": SimTask("window", "open the window"),
    "faucet-open-v3": SimTask("faucetBase", "open the faucet"),
}


def frame_stamp_ns(frame: int, step_s: float) -> int:
    """When a frame is taken.

    Args:
        frame: counted from 0.
        step_s: the simulator's step.
    """
    return START_NS + frame * int(step_s * STEPS_PER_FRAME * 1e9)
