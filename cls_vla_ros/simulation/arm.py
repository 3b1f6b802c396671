"""One episode of Meta-World: its robot (Sawyer), two cameras, and the expert that it ships.

Needs `pip install -r requirements/sim.txt` and, without a GPU, Debian's libosmesa6. MUJOCO_GL
chooses how it renders: osmesa (the default here; software) or egl (a GPU).
"""

import os
import warnings
from functools import cache

import numpy as np

from cls_vla_ros.simulation.events import Pictures
from cls_vla_ros.simulation.tasks import HEIGHT, JOINTS, SHADOW_PIXELS, TASKS, WIDTH


def cannot_render(error: Exception) -> str:
    """What to do about it."""
    return (
        f"MuJoCo cannot render with MUJOCO_GL={os.environ['MUJOCO_GL']}: {error}. For osmesa: apt "
        "install libosmesa6; on a machine with a GPU, set MUJOCO_GL=egl"
    )


os.environ.setdefault("MUJOCO_GL", "osmesa")
os.environ.setdefault("LP_NUM_THREADS", "0")  # of osmesa's renderer: one process has one core
try:
    import gymnasium
    import metaworld  # noqa: F401  registers its environments
    import mujoco
    from metaworld.policies import ENV_POLICY_MAP
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is not installed: pip install -r requirements/sim.txt", name=error.name
    ) from error
except Exception as error:  # of PyOpenGL, whose types depend on what is missing
    raise RuntimeError(cannot_render(error)) from error

# gymnasium's opinions of Meta-World's spaces, and Meta-World's of its experts' gains.
warnings.filterwarnings("ignore", category=UserWarning, module="gymnasium|metaworld")
CAMERAS = {"front": "corner2", "wrist": "gripperPOV"}


class SimArm:
    """An episode: the same task and seed are the same episode.

    Attributes:
        step_s: the simulator's step, in seconds.
        succeeded: whether Meta-World has called the task done at any step so far.
    """

    def __init__(self, task: str, seed: int, shadow_pixels: int = SHADOW_PIXELS) -> None:
        """Begin it.

        Args:
            task: of TASKS.
            seed: of the object's place.
            shadow_pixels: side of the map that shadows are drawn from.
        """
        env = _make(task, seed)
        self._seen, _ = env.reset(seed=seed)
        self._env, self._looks = env, (task, shadow_pixels)
        self._base = env.unwrapped
        self._model, self._data = self._base.model, self._base.data
        self._expert = ENV_POLICY_MAP[task]()
        self._body = self._model.body(TASKS[task].body).id
        self._loose = self._free_joint()
        joints = [self._model.joint(name) for name in JOINTS]
        self._qpos = [int(joint.qposadr[0]) for joint in joints]
        self._qvel = [int(joint.dofadr[0]) for joint in joints]
        self.step_s: float = self._base.dt
        self.succeeded = False

    def pictures(self) -> Pictures:
        """Render both cameras, (240, 320, 3) uint8 RGB: most of the time that an episode takes."""
        renderer = _renderer(*self._looks)
        pictures = {}
        for name, camera in CAMERAS.items():
            renderer.update_scene(self._data, camera=camera)
            pictures[name] = renderer.render().copy()
        pictures["front"] = np.ascontiguousarray(
            pictures["front"][::-1, ::-1]
        )  # hangs upside down
        return pictures

    @property
    def positions(self) -> np.ndarray:
        """(9,) float64 of JOINTS, in rad and m."""
        return self._data.qpos[self._qpos].astype(np.float64)

    @property
    def velocities(self) -> np.ndarray:
        """(9,) float64 of JOINTS, in rad/s and m/s."""
        return self._data.qvel[self._qvel].astype(np.float64)

    def expert_action(self) -> np.ndarray:
        """What Meta-World's expert would do now: (4,) float32 dx dy dz grip in [-1, 1]."""
        seen = self._seen.copy()  # the door's expert writes into it
        return np.clip(self._expert.get_action(seen), -1.0, 1.0)

    def step(self, action: np.ndarray) -> bool:
        """Do it for one step.

        Args:
            action: (4,) dx dy dz grip in [-1, 1].

        Returns:
            Whether the task is done at this step; a door may swing on afterwards.
        """
        self._seen, _, _, _, info = self._env.step(action)
        is_done = bool(info["success"])
        self.succeeded = self.succeeded or is_done
        return is_done

    def move_object(self, dx_m: float, dy_m: float, with_marker: bool = False) -> None:
        """Put the object elsewhere, and with it the place where the task is done.

        A loose one, such as a puck, goes alone: where it has to go stays where it is.

        Args:
            dx_m: along the simulator's x axis, sideways.
            dy_m: along its y axis, away from the robot.
            with_marker: whether the green ball that shows that place goes along.
        """
        if self._loose is not None:
            self._data.qpos[self._loose : self._loose + 2] += (dx_m, dy_m)
            mujoco.mj_forward(self._model, self._data)
            return
        target = self._base._target_pos
        if with_marker:
            in_world = self._model.site_bodyid == 0
            markers = in_world & np.isclose(self._model.site_pos, target).all(axis=1)
            self._model.site_pos[markers, :2] += (dx_m, dy_m)
        self._model.body_pos[self._body, :2] += (dx_m, dy_m)
        target[:2] += (dx_m, dy_m)
        mujoco.mj_forward(self._model, self._data)

    def another_place(
        self, random: np.random.Generator, distance_m: tuple[float, float]
    ) -> tuple[float, float]:
        """A move of the object to a place where the task could have begun too.

        Args:
            random: draws it.
            distance_m: the least and the most of the move.

        Returns:
            dx and dy in m, for `move_object`.
        """
        space = self._base._random_reset_space
        here = self._data.xpos[self._body, :2]
        # Where the body is at a place of the reset space: some tasks set it off by a constant.
        offset = here - self._base._last_rand_vec[:2]
        moves = random.uniform(space.low[:2], space.high[:2], (1000, 2)) + offset - here
        lengths = np.linalg.norm(moves, axis=1)
        fitting = moves[(lengths >= distance_m[0]) & (lengths <= distance_m[1])]
        if not len(fitting):
            raise ValueError(
                f"the task has no other place {distance_m[0]} to {distance_m[1]} m away"
            )
        return float(fitting[0, 0]), float(fitting[0, 1])

    def _free_joint(self) -> int | None:
        """Where in qpos the object's place is, if it is loose."""
        joint = int(self._model.body_jntadr[self._body])
        if joint < 0 or self._model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            return None
        return int(self._model.jnt_qposadr[joint])


def _make(task: str, seed: int) -> "gymnasium.Env":
    return gymnasium.make("Meta-World/MT1", env_name=task, seed=seed, disable_env_checker=True)


@cache
def _renderer(task: str, shadow_pixels: int) -> "mujoco.Renderer":
    """Uploading a task's meshes takes longer than a frame: once for all its episodes.

    The model in it gives only what all episodes of the task share; places come with the data.
    """
    model = _make(task, seed=0).unwrapped.model
    model.vis.quality.shadowsize = shadow_pixels
    try:
        return mujoco.Renderer(model, HEIGHT, WIDTH)
    except Exception as error:  # likewise
        raise RuntimeError(cannot_render(error)) from error
