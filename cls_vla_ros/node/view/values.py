"""A chunk as a message that every plotting tool reads."""

from sensor_msgs.msg import JointState

from cls_vla_ros.msg import ActionChunk

TOPIC = "action_chunk/values"


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
