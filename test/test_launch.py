"""The launch files, with the real launch; skipped where there is none."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros", reason="launch_ros comes with ROS 2 only, not from the package index"
)

import rclpy
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription

ROOT = Path(__file__).parent.parent


def description(name: str):
    spec = importlib.util.spec_from_file_location(name.split(".")[0], ROOT / "launch" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.generate_launch_description()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "policy.launch.py",
            {
                "params_file",
                "policy_path",
                "device",
                "task",
                "joint_trajectory",
                "joint_command",
                "namespace",
                "autostart",
                "armed",
                "use_sim_time",
                "view",
            },
        ),
        ("replay.launch.py", {"bag", "rate", "loop", "out", "shutdown"}),
        (
            "fleet.launch.py",
            {"server", "robots", "prefix", "token_file", "params_file", "use_sim_time", "armed"},
        ),
    ],
)
def test_every_argument_has_a_default_and_a_description(name, arguments):
    _, launch = description(name)
    declared = [e for e in launch.entities if isinstance(e, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == arguments
    assert all(len(a.description) > 15 and a.default_value is not None for a in declared)


@pytest.mark.parametrize(("given", "overridden"), [("", False), ("close the door: now", True)])
def test_an_argument_overrides_the_params_file_only_when_given(given, overridden):
    module, launch = description("policy.launch.py")
    context = LaunchContext()
    for entity in launch.entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    context.launch_configurations["task"] = given
    node, _ = module.start_node(context)
    node._perform_substitutions(context)
    files = [path for path, is_file in node._Node__expanded_parameter_arguments if is_file]
    text = "".join(Path(path).read_text() for path in files[1:])
    assert ("close the door: now" in text) == overridden


@pytest.mark.parametrize("given", ["", "/arm_controller/joint_trajectory"])
def test_the_outputs_topics_are_arguments(given):
    module, launch = description("policy.launch.py")
    context = LaunchContext()
    for entity in launch.entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    context.launch_configurations["joint_trajectory"] = given
    node, _ = module.start_node(context)
    node._perform_substitutions(context)
    expected = [("joint_trajectory", given)] if given else []
    assert (node.expanded_remapping_rules or []) == expected


def test_replay_includes_policy_with_the_recordings_time():
    _, launch = description("replay.launch.py")
    (include,) = [e for e in launch.entities if isinstance(e, IncludeLaunchDescription)]
    assert dict(include.launch_arguments) == {"use_sim_time": "true"}


RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *given = sys.argv[1:]
service = LaunchService()
include = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file), launch_arguments=[g.split(":=") for g in given]
)
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


def start(name: str, *given: str) -> subprocess.Popen:
    """As `ros2 launch` does, in a group of its own, as a terminal has."""
    command = [sys.executable, "-c", RUN, str(ROOT / "launch" / name), *given]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end_of(launch: subprocess.Popen) -> str:
    said, _ = launch.communicate(timeout=90)
    assert "Traceback" not in said
    return said


def read_until(launch: subprocess.Popen, text: str) -> str:
    said = ""
    for line in launch.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"ended without {text!r}: {said}")


@pytest.mark.parametrize("name", ["policy.launch.py", "replay.launch.py"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("policy_path:=/no/such/folder", "the checkpoint /no/such/folder does not exist"),
        ("params_file:=/no/such.yaml", "params_file:=/no/such.yaml does not exist"),
        ("view:=foxglove", "sudo apt install ros-$ROS_DISTRO-foxglove-bridge"),
        ("view:=rvizz", "view:=rvizz is none of rerun, foxglove"),
    ],
)
def test_what_is_wrong_ends_the_launch_with_the_reason_and_1(name, given, reason):
    launch = start(name, given, "namespace:=launch_wrong")
    assert reason in end_of(launch)
    assert launch.returncode == 1


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "launch alone"])
def test_ctrl_c_ends_it_in_order(to_all):
    launch = start("policy.launch.py", "namespace:=launch_ctrl_c", "device:=cpu")
    read_until(launch, "active: episode 1")
    (os.killpg if to_all else os.kill)(launch.pid, signal.SIGINT)
    assert "has finished cleanly" in end_of(launch)
    assert launch.returncode == 0


def test_a_recording_is_played_and_the_node_stays(tmp_path):
    out = tmp_path / "out"
    launch = start("replay.launch.py", f"out:={out}", "rate:=2.0", "device:=cpu")
    said = read_until(launch, "the node still runs: Ctrl-C ends it")
    assert str(out) in said
    assert len(json.loads((out / "report.json").read_text())["inferences"]) > 20
    assert launch.poll() is None
    os.killpg(launch.pid, signal.SIGINT)
    end_of(launch)
    assert launch.returncode == 0


def test_two_robots_side_by_side(tmp_path):
    launches = [start("policy.launch.py", f"namespace:={n}", "view:=") for n in ("left", "right")]
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("looks", context=context)
    for launch in launches:
        read_until(launch, "active: episode 1")
    wanted = {"left", "right"}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = {n for n in wanted if node.count_publishers(f"/{n}/action_chunk") == 1}
        if found == wanted:
            break
        time.sleep(0.1)
    assert found == wanted
    assert node.count_publishers("/action_chunk") == 0
    node.destroy_node()
    rclpy.shutdown(context=context)
    for launch in launches:
        os.killpg(launch.pid, signal.SIGINT)
        end_of(launch)
        assert launch.returncode == 0


@pytest.fixture
def installed(monkeypatch):
    """As if every viewer were."""

    def make(module) -> None:
        monkeypatch.setattr(module, "get_package_prefix", lambda package: f"/opt/{package}")

    return make


def of_view(view: str) -> LaunchContext:
    context = LaunchContext()
    context.launch_configurations.update(
        {"view": view, "namespace": "", "params_file": "my_robot.yaml"}
    )
    return context


@pytest.mark.parametrize(
    ("view", "executables"),
    [
        ("", []),
        ("rerun", ["rerun_view", "chunk_values"]),
        ("foxglove", ["foxglove_bridge", "chunk_values"]),
        ("rqt", ["rqt_view", "chunk_values"]),
        ("plotjuggler", ["plotjuggler", "chunk_values"]),
    ],
)
def test_a_viewer_comes_with_what_it_plots(view, executables, installed):
    module, _ = description("policy.launch.py")
    installed(module)
    assert [node.node_executable for node in module.start_view(of_view(view))] == executables


@pytest.mark.parametrize(("bag", "is_good"), [("demo", True), ("none", False)])
def test_a_wrong_bag_ends_the_launch(bag, is_good):
    module, _ = description("replay.launch.py")
    context = LaunchContext()
    context.launch_configurations["bag"] = str(ROOT / "bags" / bag)
    if is_good:
        module.check_bag(context)
        return
    with pytest.raises(RuntimeError, match="is not a rosbag2 directory"):
        module.check_bag(context)
