"""Make docs/demo.gif of what `make demo` left: the front camera, and what the gate says of it.

. dev/env.sh && demo --out demo_output && python dev/make_demo_gif.py demo_output docs/demo.gif
"""

import argparse
import bisect
import json
import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from cls_vla_ros.recordings.open_bag import open_bag

CAMERA = "/front_camera/image_raw"
EVERY, PERIOD_MS = 3, 113  # every third picture of 26.7 a second, as fast as it was
COLOURS = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="the demo's output folder")
    parser.add_argument("gif", type=Path)
    args = parser.parse_args()
    report = json.loads((args.demo / "report.json").read_text())
    frames = [draw(report, t, p) for t, p in pictures(args.demo / "recording")[::EVERY]]
    # One palette, or still parts would flicker.
    some = np.vstack([np.asarray(frame) for frame in frames[:: len(frames) // 6]])
    palette = Image.fromarray(some).quantize(COLOURS)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [PERIOD_MS] * (len(shown) - 1) + [2000]
    shown[0].save(
        args.gif, save_all=True, append_images=shown[1:], duration=durations, loop=0, optimize=True
    )


def pictures(recording: Path) -> list[tuple[float, np.ndarray]]:
    """Seconds since the start, and (H, W, 3) uint8 RGB."""
    reader = open_bag(recording)
    found = []
    for connection, stamp_ns, raw in reader.messages(
        connections=[c for c in reader.connections if c.topic == CAMERA]
    ):
        message = reader.deserialize(raw, connection.msgtype)
        picture = message.data.reshape(message.height, message.width, 3)
        found.append(((stamp_ns - reader.start_time) / 1e9, picture))
    reader.close()
    return found


def draw(report: dict, time_s: float, picture: np.ndarray) -> Image.Image:
    """One frame: the camera on the left, the similarity until now on the right."""
    times = [i["time_s"] for i in report["inferences"]]
    until = report["inferences"][: bisect.bisect_right(times, time_s)]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.2, 2.4), width_ratios=(4, 6.5), layout="constrained"
    )
    left.imshow(picture)
    left.set_axis_off()
    decision = until[-1]["decision"] if until else ""
    left.set_title(decision, fontsize=10, color="red" if decision == "scene changed" else "black")
    full = [i for i in until if i["similarity"] is not None and i["decision"] != "reused"]
    right.plot([i["time_s"] for i in full], [i["similarity"] for i in full], "o-", ms=3, lw=1)
    right.plot(
        [i["time_s"] for i in full], [i["threshold"] for i in full], "--", color="red", lw=0.8
    )
    changed = [i for i in full if i["decision"] == "scene changed"]
    right.plot([i["time_s"] for i in changed], [i["similarity"] for i in changed], "rx", ms=7)
    for event in report["events"]:
        if event["time_s"] <= time_s:
            right.axvline(
                event["time_s"], color="0.4", lw=1, ls="-" if event["scene_change"] else ":"
            )
            right.text(event["time_s"] + 0.04, -0.12, event["kind"].replace("_", "\n"), fontsize=6)
    right.set(xlim=(0, math.ceil(times[-1])), ylim=(-0.2, 1.05))
    right.set_xlabel("time [s]", fontsize=8)
    right.set_title("similarity of what is seen to what was predicted", fontsize=9)
    right.tick_params(labelsize=7)
    figure.canvas.draw()
    made = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    plt.close(figure)
    return made


if __name__ == "__main__":
    main()
