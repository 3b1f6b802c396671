"""What goes into a Rerun recording, read back; skipped without Rerun (requirements/view.txt)."""

import math
import sys

import numpy as np
import pytest

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.node.view import rerun_view

START_NS = 1_700_000_000 * 10**9
URDF = """<robot name="arm"><link name="base"/><link name="upper"/><link name="fore"/>
<link name="flange"/><link name="tool"/><link name="finger"/>
<joint name="pan" type="revolute"><parent link="base"/><child link="upper"/>
 <origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>
 <limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
<joint name="lift" type="revolute"><parent link="upper"/><child link="fore"/>
 <origin xyz="0.2 0 0"/><axis xyz="0 1 0"/>
 <limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
<joint name="end" type="fixed"><parent link="fore"/><child link="flange"/>
 <origin xyz="0.3 0 0"/></joint>
<joint name="hand" type="fixed"><parent link="flange"/><child link="tool"/>
 <origin xyz="0 0 0.05" rpy="0 0 1.5"/></joint>
<joint name="finger_joint" type="prismatic"><parent link="flange"/><child link="finger"/>
 <axis xyz="0 1 0"/><limit lower="0" upper="0.04" velocity="1" effort="1"/></joint></robot>
"""


def test_without_rerun_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(rerun_view, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["rerun_view"])
    with pytest.raises(SystemExit, match=r"pip install -r requirements/view\.txt"):
        rerun_view.main()


@pytest.fixture
def recording(tmp_path):
    rerun = pytest.importorskip("rerun")
    stream = rerun.RecordingStream("test")
    stream.save(tmp_path / "test.rrd")
    return stream


@pytest.fixture
def read(recording, tmp_path):
    """Columns of an entity that have a time, by name; and its times in ns."""

    def make(path: str) -> tuple[np.ndarray, dict[str, list]]:
        from rerun.chunk import RrdReader

        recording.flush()
        times, columns = [], {}
        for chunk in RrdReader(tmp_path / "test.rrd").stream():
            if chunk.entity_path != f"/{path}" or chunk.is_static:
                continue
            table = chunk.to_record_batch().to_pandas()
            times += [stamp.value for stamp in table["ros_time"]]
            for name in table.columns:
                columns.setdefault(name, []).extend(table[name])
        return np.array(times), columns

    return make


def scene_change(ns: int, **fields) -> SceneChange:
    message = SceneChange(glance_score=math.nan, **fields)
    message.header.stamp = to_time(ns)
    return message


def test_a_chunk_is_over_its_own_times_and_fades(recording, read):
    from cls_vla_ros.node.view.rerun_log import RerunLog

    log = RerunLog(recording)
    log.measured(START_NS, {"pan": 0.5})
    for number in range(3):  # two of them overlap
        chunk = ActionChunk(names=["pan", "grip"], chunk_size=3, action_dim=2, dt=0.1,
                            data=[0.0, 9.0, 0.1, 8.0, 0.2, 7.0])  # fmt: skip
        chunk.header.stamp = to_time(START_NS + number * 150_000_000)
        log.chunk(chunk)
    times, columns = read("values/pan/chunks/0")
    # The third begins after the first has ended, in its lane; a NaN is between them.
    assert list(times[:3] - START_NS) == [0, 100_000_000, 200_000_000]
    assert times[4] - START_NS == 300_000_000
    values = np.concatenate(columns["Scalars:scalars"])
    np.testing.assert_allclose(values, [0, 0.1, 0.2, np.nan] * 2)
    opacity = [int(colour[0]) & 255 for colour in columns["SeriesLines:colors"][:3]]
    assert opacity == sorted(opacity, reverse=True)
    assert opacity[0] > 2 * opacity[2]
    assert len(read("values/pan/chunks/1")[0]) == 4
    # What no joint measures has a line of first steps.
    assert np.concatenate(read("values/grip/first")[1]["Scalars:scalars"]).tolist() == [9.0] * 3
    assert not len(read("values/pan/first")[0])


def test_a_scene_change_is_numbers_a_reason_and_a_cross(recording, read):
    from cls_vla_ros.node.view.rerun_log import RerunLog

    log = RerunLog(recording)
    gate = {"similarity": 0.1, "threshold": 0.5}
    changed = {"evaluated": True, "has_history": True, "scene_changed": True, "reason": 5}
    log.scene_change(scene_change(START_NS, total_ms=9.0, **gate, **changed))
    log.scene_change(scene_change(START_NS + 10**8, total_ms=3.0, **gate))
    times, columns = read("gate/similarity")
    assert list(times) == [START_NS]  # the second has computed none
    assert np.concatenate(columns["Scalars:scalars"]).tolist() == [0.1]
    assert len(read("gate/scene_changed")[0]) == 1
    states = [str(state[0]) for state in read("reason")[1]["StateChange:state"]]
    assert states == ["scene changed", "prefix reused"]
    assert np.concatenate(read("latency/total")[1]["Scalars:scalars"]).tolist() == [9.0, 3.0]
    assert not len(read("gate/glance")[0])


def test_places_are_boxes_in_the_pictures_pixels(recording, read):
    from cls_vla_ros.node.view.changed_places import Places
    from cls_vla_ros.node.view.rerun_log import RerunLog

    values = np.zeros((12, 16), np.float32)
    values[2, 3], values[2, 4], values[0, 0] = 0.9, 0.15, 0.05
    picture = np.zeros((120, 320, 3), np.uint8)
    RerunLog(recording).places("front", START_NS, Places(values, 0.2, "glance"), picture)
    _, columns = read("cameras/front/changed")
    (centres,) = columns["Boxes2D:centers"]
    assert [list(centre) for centre in centres] == [[70.0, 25.0], [90.0, 25.0]]
    (labels,) = columns["Boxes2D:labels"]
    assert list(labels) == ["glance 0.90", ""]


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ({}, [0.5, 0, 0.15]),
        ({"pan": math.pi / 2}, [0, 0.5, 0.15]),
        ({"lift": math.pi / 2, "finger_joint": 0.04}, [0.25, 0, -0.2]),
        ({"pan": 0.3, "lift": -0.4}, None),
    ],
)
def test_where_the_tool_is(recording, positions, expected):
    from cls_vla_ros.node.view.tool_path import RobotModel

    robot = RobotModel(URDF, recording, ["pan", "lift", "finger_joint"], "tool")
    assert (robot.root, robot.tool) == ("base", "tool")
    pan, lift = positions.get("pan", 0), positions.get("lift", 0)
    if expected is None:  # by hand: 0.2 out, then 0.3 along the forearm and 0.05 across it
        out = 0.2 + 0.3 * math.cos(lift) + 0.05 * math.sin(lift)
        up = 0.1 - 0.3 * math.sin(lift) + 0.05 * math.cos(lift)
        expected = [out * math.cos(pan), out * math.sin(pan), up]
    np.testing.assert_allclose(robot.position_of_tool(positions), expected, atol=1e-6)
    assert set(robot.transforms(positions)) == set(positions)


def test_the_tool_is_the_link_behind_most_joints_and_what_is_none_is_said(recording):
    from cls_vla_ros.node.view.tool_path import RobotModel

    assert RobotModel(URDF, recording, ["pan", "lift"], "").tool in ("tool", "finger")
    with pytest.raises(ValueError, match=r"no link 'toool' below base: \['fing"):
        RobotModel(URDF, recording, ["pan"], "toool")
    with pytest.raises(ValueError, match="robot_description is not used"):
        RobotModel("<robot", recording, ["pan"], "")


def test_a_recording_without_a_nodes_outputs_is_refused(recording, make_bag, params_file, tmp_path,
                                                        monkeypatch, checkpoint):  # fmt: skip
    line = ["rerun_view", make_bag(frames=2).path, "--params-file", params_file, "--policy",
            checkpoint, "--save", tmp_path / "x.rrd"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(part) for part in line])
    with pytest.raises(SystemExit, match=r"no scene_change of a policy node: `replay BAG --out"):
        rerun_view.main()
