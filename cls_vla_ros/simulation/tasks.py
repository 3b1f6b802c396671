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


# The random numbers of an episode begin with its task's place in here: further ones go to the end.
TASKS = {
    "button-press-topdown-v3": SimTask("box", "press the button"),
    "door-open-v3": SimTask("door", "open the door"),
    "drawer-open-v3": SimTask("drawer", "open the drawer"),
    "faucet-open-v3": SimTask("faucetBase", "open the faucet"),
    "window-open-v3": SimTask("window", "open the window"),
    "button-press-v3": SimTask("box", "press the button on the front"),
    "button-press-topdown-wall-v3": SimTask("box", "press the button behind the wall"),
    "button-press-wall-v3": SimTask("box", "press the button on the front, over the wall"),
    "coffee-button-v3": SimTask("coffee_machine", "press the coffee machine's button"),
    "coffee-push-v3": SimTask("obj", "push the mug under the coffee machine"),
    "dial-turn-v3": SimTask("dial", "turn the dial"),
    "door-close-v3": SimTask("door", "close the door"),
    "door-lock-v3": SimTask("door", "lock the door"),
    "door-unlock-v3": SimTask("door", "unlock the door"),
    "drawer-close-v3": SimTask("drawer", "close the drawer"),
    "faucet-close-v3": SimTask("faucetBase", "close the faucet"),
    "handle-press-v3": SimTask("box", "press the handle down"),
    "handle-press-side-v3": SimTask("box", "press the handle at the side down"),
    "handle-pull-v3": SimTask("box", "pull the handle up"),
    "handle-pull-side-v3": SimTask("box", "pull the handle at the side up"),
    "lever-pull-v3": SimTask("lever", "pull the lever up"),
    "push-v3": SimTask("obj", "push the puck to the goal"),
    "reach-v3": SimTask("obj", "reach the goal"),
    "sweep-into-v3": SimTask("obj", "sweep the cube into the hole"),
    "window-close-v3": SimTask("window", "close the window"),
}
# The demo's policy has never seen these.
HELD_OUT = (
    *("coffee-push-v3", "faucet-open-v3", "handle-pull-side-v3"),
    *("lever-pull-v3", "sweep-into-v3"),
)
TRAINED = tuple(task for task in TASKS if task not in HELD_OUT)


def task_number(task: str) -> int:
    """What an episode's random numbers begin with, beside its seed.

    Args:
        task: of TASKS.
    """
    return list(TASKS).index(task)


def frame_stamp_ns(frame: int, step_s: float) -> int:
    """When a frame is taken.

    Args:
        frame: counted from 0.
        step_s: the simulator's step.
    """
    return START_NS + frame * int(step_s * STEPS_PER_FRAME * 1e9)
