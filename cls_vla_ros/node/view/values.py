"""Chunks and scene changes as messages that every plotting tool reads."""

import math

from sensor_msgs.msg import JointState

from cls_vla_ros.msg import ActionChunk, SceneChange

# Not below scene_change or action_chunk: rqt_plot takes what follows a topic's name for a field.
TOPIC = "plot/action_chunk"
NUMBERS = "plot"  # a topic each below it
NAMES = (
    *("similarity", "threshold", "scene_changed", "glance_score", "glance_threshold", "reason"),
    *("total_ms", "prefix_ms", "denoise_ms", "reuse_rate"),
)


def to_values(chunk: ActionChunk) -> JointState:
    """Each value of each step under a name of its own: "elbow[0]", "elbow[1]" and so on.

    rqt_plot, PlotJuggler and Foxglove plot positions of a JointState; they do not know that an
    ActionChunk's data are row after row. The stamp is the chunk's: of the picture that it is from.
    """
    steps = range(chunk.chunk_size)
    return JointState(
        header=chunk.header,
        name=[f"{name}[{step}]" for step in steps for name in chunk.names],
        position=chunk.data,
    )


def to_numbers(message: SceneChange) -> dict[str, float]:
    """The values of NAMES that there are, for std_msgs/Float64: a message without a header.

    rqt_plot draws what has a header at its stamp less the wall clock of rqt_plot's own start,
    whatever use_sim_time says: what was recorded three years ago is at -1e8, and each round of a
    loop lies over the last. What has none is drawn when it comes.
    """
    numbers = {name: float(getattr(message, name)) for name in NAMES}
    # Else the similarity is that of an earlier inference, or there was nothing to compare with.
    if not (message.evaluated and message.has_history):
        del numbers["similarity"], numbers["threshold"]
    return {name: value for name, value in numbers.items() if not math.isnan(value)}
