"""What the policy sees and is about to do, into a Rerun recording. No rclpy in here."""

import math
from collections.abc import Mapping

import numpy as np
import rerun as rr

from cls_vla_ros.inference import Reason
from cls_vla_ros.node.view.changed_places import Places
from cls_vla_ros.node.view.tool_path import RobotModel
from cls_vla_ros.robot.stamps import to_ns

TIMELINE = "ros_time"
JPEG_QUALITY = 80
LANES = 64  # of chunks that overlap, for each value: more are not drawn
MEASURED, CHUNK = (0, 160, 230), (255, 140, 0)  # seen on dark and on light
FAINTEST = 40  # of 255: a chunk's last step
SHOWN = 0.5  # of the threshold: fainter places are not drawn
BLUE, RED, GREEN, PURPLE = (31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189)
SERIES = {
    "gate/similarity": ("similarity", BLUE),
    "gate/threshold": ("threshold", RED),
    "gate/glance": ("glance score", PURPLE),
    "gate/glance_threshold": ("glance threshold", (197, 176, 213)),
    "latency/total": ("total", GREEN),
    "latency/prefix": ("prefix", BLUE),
    "latency/denoise": ("denoise", CHUNK),
}
CHANGED = "gate/scene_changed"
REASON = "reason"


class RerunLog:
    """One recording; all times are nanoseconds of ROS time."""

    def __init__(self, recording: rr.RecordingStream) -> None:
        """Say how series look."""
        self._recording = recording
        self._ends_ns: dict[str, list[int]] = {}  # of the chunk in each lane, by value
        self._drawn: set[str] = set()
        self._joints: set[str] = set()  # that are measured
        for path, (name, colour) in SERIES.items():
            recording.log(path, rr.SeriesLines(names=name, colors=colour), static=True)
        marks = rr.SeriesPoints(names="scene changed", colors=RED, markers="cross", marker_sizes=6)
        recording.log(CHANGED, marks, static=True)
        texts = [_text(reason) for reason in Reason]
        bands = rr.StateConfiguration(values=texts, labels=texts, colors=_colours())
        recording.log(REASON, bands, static=True)

    def frame(self, camera: str, stamp_ns: int, picture: np.ndarray) -> None:
        """(height, width, 3) uint8 RGB."""
        self._at(stamp_ns)
        image = rr.Image(picture).compress(jpeg_quality=JPEG_QUALITY)
        self._recording.log(f"cameras/{camera}", image)

    def places(self, camera: str, stamp_ns: int, places: Places, picture: np.ndarray) -> None:
        """Boxes where something looks changed, the stronger the more opaque."""
        self._at(stamp_ns)
        (rows, columns), (height, width) = places.values.shape, picture.shape[:2]
        at = np.argwhere(places.values > SHOWN * places.threshold)
        values = places.values[tuple(at.T)]
        size = np.array([width / columns, height / rows])
        strength = np.clip(values / max(2 * places.threshold, 1e-6), 0.15, 1.0)
        counts = values > places.threshold
        colours = [
            (*(RED if over else CHUNK), int(255 * opacity))
            for over, opacity in zip(counts, strength, strict=True)
        ]
        strongest = [f"{places.what} {v:.2f}" if v == values.max() else "" for v in values]
        boxes = rr.Boxes2D(
            mins=at[:, ::-1] * size, sizes=np.tile(size, (len(at), 1)), colors=colours or None,
            labels=strongest or None, radii=rr.Radius.ui_points(1.5),
        )  # fmt: skip
        self._recording.log(f"cameras/{camera}/changed", boxes)

    def measured(self, stamp_ns: int, positions: Mapping[str, float]) -> None:
        """Where joints are, ROS units."""
        self._at(stamp_ns)
        self._joints |= set(positions)
        for name, value in positions.items():
            self._line(f"values/{name}/measured", "measured", MEASURED, 2.0)
            self._recording.log(f"values/{name}/measured", rr.Scalars(value))

    def chunk(self, message) -> None:
        """Each value's steps over their times, fading: they are further and further from seen.

        What is no joint, and so not measured, has a line of its first steps.
        """
        steps, start_ns = message.chunk_size, to_ns(message.header.stamp)
        rows = np.asarray(message.data, float).reshape(steps, message.action_dim)
        times = start_ns + (np.arange(steps) * message.dt * 1e9).astype(np.int64)
        opacity = np.linspace(255, FAINTEST, steps).astype(int)
        colours = [(*CHUNK, int(a)) for a in opacity]
        # A series ends where a NaN is: else a line would lead to the next chunk of the lane.
        stamps = np.append(times, times[-1] + 1).astype("datetime64[ns]")
        index = rr.TimeColumn(TIMELINE, timestamp=stamps)
        self._at(start_ns)
        for name, values in zip(message.names, rows.T, strict=True):
            if name not in self._joints:
                self._line(f"values/{name}/first", "first steps", MEASURED, 2.0)
                self._recording.log(f"values/{name}/first", rr.Scalars(values[0]))
            lane = self._lane(name, start_ns, int(times[-1]))
            if lane is None:
                continue
            path = f"values/{name}/chunks/{lane}"
            self._line(path, "chunks" if lane == 0 else f"chunks, {lane}", None, 1.0)
            self._recording.send_columns(
                path,
                [index],
                [
                    *rr.Scalars.columns(scalars=np.append(values, np.nan)),
                    *rr.SeriesLines.columns(colors=[*colours, colours[-1]]),
                ],
            )

    def scene_change(self, message) -> None:
        """Similarity, glance, reason, latency."""
        self._at(to_ns(message.header.stamp))
        compared = message.evaluated and message.has_history
        values = {
            # On a reused prefix there is no new similarity.
            "gate/similarity": message.similarity if message.evaluated else math.nan,
            "gate/threshold": message.threshold if compared else math.nan,
            "gate/glance": message.glance_score,
            "gate/glance_threshold": message.glance_threshold,
            "latency/total": message.total_ms,
            "latency/prefix": message.prefix_ms,
            "latency/denoise": message.denoise_ms,
        }
        for path, value in values.items():
            if not math.isnan(value):
                self._recording.log(path, rr.Scalars(value))
        if message.scene_changed:
            self._recording.log(CHANGED, rr.Scalars(message.similarity))
        self._recording.log(REASON, rr.StateChange(state=_text(Reason(message.reason))))

    def robot(self, stamp_ns: int, robot: RobotModel, positions: Mapping[str, float]) -> None:
        """The arm as it stands."""
        self._at(stamp_ns)
        for name, transform in robot.transforms(positions).items():
            self._recording.log(f"robot/joints/{name}", transform)

    def tool_path(self, message, robot: RobotModel, positions: Mapping[str, float]) -> None:
        """Where the chunk would move the tool, fading; `positions` of what it does not move."""
        rows = np.asarray(message.data, float).reshape(-1, message.action_dim)
        points = np.array(
            [
                robot.position_of_tool({**positions, **dict(zip(message.names, row, strict=True))})
                for row in rows
            ]
        )
        opacity = np.linspace(255, FAINTEST, max(1, len(points) - 1)).astype(int)
        strips = np.stack([points[:-1], points[1:]], axis=1)
        colours = [(*CHUNK, int(a)) for a in opacity]
        self._at(to_ns(message.header.stamp))
        self._recording.log("tool", rr.CoordinateFrame(frame=robot.root), static=True)
        self._recording.log("tool/chunk", rr.CoordinateFrame(frame=robot.root), static=True)
        self._recording.log(
            "tool/chunk", rr.LineStrips3D(strips, colors=colours, radii=rr.Radius.ui_points(2.0))
        )

    def _at(self, stamp_ns: int) -> None:
        self._recording.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))

    def _line(self, path: str, name: str, colour: tuple | None, width: float) -> None:
        # What is static hides what has a time: no colour where each step has its own.
        if path not in self._drawn:
            self._drawn.add(path)
            style = rr.SeriesLines(names=name, colors=colour, widths=width)
            self._recording.log(path, style, static=True)

    def _lane(self, name: str, start_ns: int, end_ns: int) -> int | None:
        """One whose last chunk has ended before this one begins: a series has one value a time."""
        ends = self._ends_ns.setdefault(name, [])
        if ends and start_ns < min(ends) - 60 * 10**9:  # the time has jumped back
            ends.clear()
        for lane, end in enumerate(ends):
            if end < start_ns:
                ends[lane] = end_ns
                return lane
        if len(ends) >= LANES:
            return None
        ends.append(end_ns)
        return len(ends) - 1


def _text(reason: Reason) -> str:
    return "prefix reused" if reason is Reason.REUSED else reason.words


def _colours() -> list[tuple[int, int, int]]:
    """As in the demo's picture: what is ordinary stays pale, a changed scene is red."""
    from matplotlib import colormaps

    palette = colormaps["tab20"].colors
    standing_out = {Reason.REUSED: (209, 230, 209), Reason.SCENE_CHANGED: RED}
    return [
        standing_out.get(r, tuple(int(255 * c) for c in palette[int(r) % len(palette)]))
        for r in Reason
    ]
