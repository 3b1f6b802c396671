"""Commands out of a bag: of several topics, by the outputs' table and by name."""

from math import degrees

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from cls_vla_ros.console.share import share
from cls_vla_ros.recordings.bag_actions import BagActions
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.parameters.params_file import parameters_of

STORE = get_typestore(Stores.ROS2_JAZZY)
T = STORE.types
MS = 10**6
ARM = [f"arm_{j}" for j in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex")]
ARM += ["arm_wrist_roll", "arm_gripper"]


def header(ns: int):
    stamp = T["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return T["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def array(values):
    layout = T["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return T["std_msgs/msg/Float64MultiArray"](layout=layout, data=np.array(values, float))


def twist(ns: int, x: float, y: float, turn: float):
    vector = T["geometry_msgs/msg/Vector3"]
    inner = T["geometry_msgs/msg/Twist"](linear=vector(x, y, 0.0), angular=vector(0.0, 0.0, turn))
    return T["geometry_msgs/msg/TwistStamped"](header=header(ns), twist=inner)


def joints(ns: int, names: list[str], values):
    nothing = np.zeros(0)
    return T["sensor_msgs/msg/JointState"](
        header(ns), name=names, position=np.array(values, float), velocity=nothing, effort=nothing
    )


@pytest.fixture
def read(tmp_path):
    """BagActions over what a bag holds: (topic, ns, message)."""

    def make(robot: str, topics: str, *contents) -> tuple[BagActions, list[str]]:
        with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            known = {}
            for topic, ns, message in contents:
                kind = message.__msgtype__
                if topic not in known:
                    known[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(known[topic], ns, STORE.serialize_cdr(message, kind))
        file = share("config", "robots", f"{robot}.yaml")
        with parameters_of(file, {"policy.path": "not used"}) as parameters:
            actions = BagActions(topics, parameters.read())
        skipped: list[str] = []
        reader = open_bag(tmp_path / "bag")
        try:
            actions.read(reader, skipped.append)
        finally:
            reader.close()
        return actions, skipped

    return make


def test_a_mobile_arms_two_outputs_are_one_action(read):
    """The arm's array has no names: the output's are its order; the base's twist has fields."""
    arm = [0.1, 0.2, 0.3, 0.4, 0.5, 1.75]
    actions, skipped = read(
        "lekiwi",
        "/arm_controller/commands,/base_controller/cmd_vel",
        ("/arm_controller/commands", 10 * MS, array(arm)),
        ("/base_controller/cmd_vel", 20 * MS, twist(20 * MS, 0.1, -0.2, 0.5)),
        ("/arm_controller/commands", 110 * MS, array([0.0] * 6)),
    )
    assert not skipped
    row = actions.at(5 * MS, 50 * MS)
    np.testing.assert_allclose(row[:5], np.degrees(arm[:5]), rtol=1e-6)
    np.testing.assert_allclose(row[5:], [100, 0.1, -0.2, degrees(0.5)], rtol=1e-6)
    assert actions.at(5 * MS, 12 * MS) is None  # the base's comes later than that
    assert actions.at(100 * MS, 50 * MS) is None  # and it says nothing then


def test_a_leader_says_by_name_what_no_output_does(read):
    """A gripper's goals are no topic of a bag; its leader's JointState is."""
    names = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
    point = T["trajectory_msgs/msg/JointTrajectoryPoint"](
        np.full(5, 0.2), *[np.zeros(0)] * 3, T["builtin_interfaces/msg/Duration"](0, 0)
    )
    trajectory = T["trajectory_msgs/msg/JointTrajectory"](header(MS), names, [point])
    actions, skipped = read(
        "so101",
        "arm_controller/joint_trajectory, /leader/joint_states",
        ("/arm_controller/joint_trajectory", MS, trajectory),
        ("/leader/joint_states", 2 * MS, joints(2 * MS, ["gripper", "other"], [0.79, 9.0])),
        ("/leader/joint_states", 3 * MS, joints(3 * MS, ["other"], [9.0])),
    )
    np.testing.assert_allclose(actions.at(0, 10 * MS), [*[degrees(0.2)] * 5, 50], rtol=1e-6)
    assert len(skipped) == 1
    assert "lacks the joints" in skipped[0]


def test_values_that_no_topic_says_are_named(read):
    with pytest.raises(ValueError, match=r"says \['x.vel', 'y.vel', 'theta.vel'\] of action"):
        read(
            "lekiwi",
            "/arm_controller/commands,/leader",
            ("/arm_controller/commands", MS, array([0.0] * 6)),
            ("/leader", MS, joints(MS, ARM, [0.0] * 6)),
        )


@pytest.mark.parametrize("topics", ["", "/a,", "/a,a"])
def test_topics_that_are_none_are_refused(read, topics):
    with pytest.raises(ValueError, match="are not names with commas between"):
        read("lekiwi", topics, ("/a", 0, array([0.0])))
