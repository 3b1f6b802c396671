"""The launch files, with the real launch; skipped where there is none."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "launch_ros", reason="launch_ros comes with ROS 2 only, not from the package index"
)

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
                "use_sim_time",
                "view",
            },
        ),
        ("replay.launch.py", {"bag", "rate", "loop", "shutdown"}),
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

wrong = {"policy_path": "/no/such/folder", "namespace": "launch_wrong"}
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
include = IncludeLaunchDescription(source, launch_arguments=wrong.items())
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


@pytest.mark.parametrize("name", ["policy.launch.py", "replay.launch.py"])
def test_a_wrong_path_ends_the_launch_with_the_reason_and_1(name):
    command = [sys.executable, "-c", RUN, str(ROOT / "launch" / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "the checkpoint /no/such/folder does not exist" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("view", "executables"),
    [
        ("", []),
        ("foxglove", ["foxglove_bridge", "chunk_values"]),
        ("rqt", ["rqt_plot", "chunk_values"]),
        ("plotjuggler", ["plotjuggler", "chunk_values"]),
    ],
)
def test_a_viewer_comes_with_what_it_plots(view, executables):
    module, _ = description("policy.launch.py")
    context = LaunchContext()
    context.launch_configurations |= {"view": view, "namespace": ""}
    assert [node.node_executable for node in module.start_view(context)] == executables


def test_a_viewer_that_is_none_is_refused():
    module, _ = description("policy.launch.py")
    context = LaunchContext()
    context.launch_configurations |= {"view": "rvizz", "namespace": ""}
    with pytest.raises(RuntimeError, match="foxglove, rqt, plotjuggler"):
        module.start_view(context)


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
