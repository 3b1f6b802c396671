"""`rqt_view`: rqt with plots of the gate and of the latency, which find their topics.

`ros2 launch cls_vla_ros policy.launch.py view:=rqt` starts it beside `chunk_values`. rqt_plot
looks for a topic once, at its start, when its own node has not yet discovered any. But it takes a
ROS context that is there already: this waits in one until `chunk_values` is seen, then starts rqt.
It needs rqt (ros-$ROS_DISTRO-rqt-plot, ros-$ROS_DISTRO-rqt-gui). It commands nothing.
"""

import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import rclpy

from cls_vla_ros.console.share import share
from cls_vla_ros.node.view.values import NUMBERS

WAIT_S = 15.0
NEEDED = ("rqt_gui", "rqt_plot")


def main() -> None:
    """Run until the window is closed, or SIGINT; exit 1 with the reason if it cannot."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        packages = " ".join(f"ros-$ROS_DISTRO-{name.replace('_', '-')}" for name in missing)
        sys.exit(f"rqt_view: rqt is not installed here: `sudo apt install {packages}`")
    rclpy.init(args=sys.argv)
    node = rclpy.create_node("rqt_view")
    prefix = node.get_namespace().rstrip("/")
    topic, deadline = f"{prefix}/{NUMBERS}/similarity", time.monotonic() + WAIT_S
    while rclpy.ok() and not node.count_publishers(topic):
        if time.monotonic() > deadline:
            node.get_logger().warning(
                f"nobody publishes {topic}, so the plots are empty: `ros2 run cls_vla_ros "
                "chunk_values` does"
            )
            break
        time.sleep(0.1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "cls_vla_ros.perspective")
        text = share("config", "views", "rqt.perspective").read_text()
        file.write_text(text.replace(f"'/{NUMBERS}/", f"'{prefix}/{NUMBERS}/"))
        from rqt_gui.main import Main

        # rqt's default name, so that its settings are those of `rqt`.
        sys.exit(Main().main(["rqt_gui", "--perspective-file", str(file)]))


if __name__ == "__main__":
    main()
