"""Why a prefix was computed instead of reused. The numbers are those of SceneChange.msg."""

from enum import IntEnum


class Reason(IntEnum):
    """REUSED, or the first rule that a cached prefix did not pass."""

    REUSED = 0
    NO_HISTORY = 1  # the first inference of an episode
    REUSE_OFF = 2  # the limits say so
    GATE_OFF = 3  # the policy has no CLS head
    GATE_UNTRAINED = 4  # and the limits do not allow that
    SCENE_CHANGED = 5  # the previous full inference saw it, and emptied the queue
    TASK_CHANGED = 6
    CAMERAS_CHANGED = 7
    PREFIX_TOO_OLD = 8
    MAX_REUSES = 9
    CLOCK_JUMPED = 10  # the observation is older than the prefix
    FRAME_DIFFERENT = 11  # the frame guard
    FRAME_BLACK = 12
    FRAME_FROZEN = 13
    PREVIOUS_ERROR = 14  # the inference that used the cached prefix raised
    MOTION = 15  # the robot has moved too far since the prefix
    GATE_BLIND = 16  # the similarity has stopped to vary
    GLANCE = 17  # the glance sees a change since the prefix

    @property
    def words(self) -> str:
        """For people: "prefix too old"."""
        return self.name.lower().replace("_", " ")
