"""One value per joint and step, over DDS; the layouts plot what there is."""

import json
import math
import re
import threading
import time
import xml.etree.ElementTree as ET
from ast import literal_eval
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from cls_vla_ros.console.share import share
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.view.chunk_values import ChunkValues
from cls_vla_ros.node.view.values import NAMES, NUMBERS, to_numbers, to_values
from cls_vla_ros.recordings.open_bag import open_bag

CHUNK = ActionChunk(
    names=["pan", "lift"], chunk_size=3, action_dim=2, data=[0.0, 1.0, 0.1, 1.1, 0.2, 1.2]
)


def test_each_value_has_the_name_of_its_joint_and_step():
    values = to_values(CHUNK)
    of_name = dict(zip(values.name, values.position, strict=True))
    assert of_name["pan[2]"] == 0.2
    assert of_name["lift[0]"] == 1.0
    assert len(of_name) == 6


def test_a_scene_changes_numbers_are_those_that_say_something():
    said = to_numbers(SceneChange(evaluated=True, has_history=True, similarity=0.8, threshold=0.5,
                                  glance_score=math.nan, total_ms=12.0))  # fmt: skip
    assert said["similarity"] == 0.8
    assert said["scene_changed"] == 0.0
    assert said["total_ms"] == 12.0
    assert "glance_score" not in said
    assert set(said) <= set(NAMES)
    reused = to_numbers(SceneChange(evaluated=False, has_history=True, similarity=0.8))
    assert not {"similarity", "threshold"} & set(reused)


def test_rqts_layout_plots_what_there_is():
    """As rqt's PerspectiveManager reads it: JSON, and in it Python's repr of each value."""
    root = json.loads(share("config", "views", "rqt.perspective").read_text())
    manager = root["groups"]["pluginmanager"]
    running = literal_eval(manager["keys"]["running-plugins"]["repr"])
    plugins = {
        f"plugin__{name.replace('/', '__')}__{number}"
        for name, numbers in running.items()
        for number in numbers
    }
    assert plugins == set(manager["groups"])
    for plugin in manager["groups"].values():
        keys = plugin["groups"]["plugin"]["keys"]
        assert all(value["type"] == "repr" for value in keys.values())
        for topic in literal_eval(keys["topics"]["repr"]):
            assert topic in {f"/{NUMBERS}/{name}/data" for name in NAMES}


def test_what_comes_goes_out_as_values():
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = [ChunkValues(context=context), rclpy.create_node("peer", context=context)]
    heard, numbers = [], []
    nodes[1].create_subscription(JointState, "plot/action_chunk", heard.append, 10)
    nodes[1].create_subscription(Float64, "plot/similarity", numbers.append, 10)
    publisher = nodes[1].create_publisher(ActionChunk, "action_chunk", 10)
    changes = nodes[1].create_publisher(SceneChange, "scene_change", 10)
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not (heard and numbers) and time.monotonic() < deadline:
        publisher.publish(CHUNK)
        changes.publish(SceneChange(evaluated=True, has_history=True, similarity=0.25))
        time.sleep(0.05)
    executor.shutdown()
    thread.join(10)
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)
    assert heard[0] == to_values(CHUNK)
    assert numbers[0].data == 0.25


@pytest.fixture(scope="module")
def topics() -> set[str]:
    """Of the recording that the demo leaves."""
    reader = open_bag(share("bags", "demo"))
    found = {connection.topic for connection in reader.connections}
    reader.close()
    return found | {"/scene_change", "/action_chunk", "/plot/action_chunk"}


def check_plotted(path: str, topics: set[str]) -> None:
    """A path such as /scene_change.similarity."""
    topic = next((t for t in sorted(topics, key=len)[::-1] if path.startswith(t)), None)
    assert topic, path
    field = re.split(r"[./\[]", path.removeprefix(topic).lstrip("./"))[0]
    kinds = {"/scene_change": SceneChange, "/joint_states": JointState,
             "/plot/action_chunk": JointState}  # fmt: skip
    if field and topic in kinds:
        fields = kinds[topic].get_fields_and_field_types()
        # PlotJuggler has a joint's name between a JointState and its position.
        assert field in fields or kinds[topic] is JointState, path


def test_foxgloves_layout_shows_what_there_is(topics):
    layout = json.loads(Path(share("config", "views", "foxglove.json")).read_text())
    panels = layout["configById"]

    def named(part) -> set[str]:
        return {part} if isinstance(part, str) else named(part["first"]) | named(part["second"])

    assert named(layout["layout"]) == set(panels)
    for panel in panels.values():
        for series in panel.get("paths", []):
            check_plotted(series["value"], topics)
        if "imageMode" in panel:
            assert panel["imageMode"]["imageTopic"] in topics


def test_plotjugglers_layout_shows_what_there_is(topics):
    root = ET.parse(share("config", "views", "plotjuggler.xml")).getroot()
    curves = [curve.get("name") for curve in root.iter("curve")]
    assert len(curves) >= 4
    for curve in curves:
        check_plotted(curve, topics)
    streamer = root.find("previouslyLoaded_Streamer").get("name")
    (plugin,) = [p for p in root.iter("plugin") if p.get("ID") == streamer]
    # What is drawn is of the time of its picture, not of its arrival.
    assert plugin.find("use_header_stamp").get("value") == "true"
    assert set(plugin.find("selected_topics").get("value").split(";")) <= topics
