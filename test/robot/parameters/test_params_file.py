import re

import pytest
import rclpy
from rclpy.node import Node

from cls_vla_ros.console.share import share
from cls_vla_ros.node.parameters import NodeParameters
from cls_vla_ros.robot.parameters.params_file import parameters_of

CAMERAS = "cameras: [front]"


def write(tmp_path, key: str, *lines: str):
    file = tmp_path / "robot.yaml"
    text = "\n".join(f"    {line}" for line in ("policy.path: somewhere", CAMERAS, *lines))
    file.write_text(f"{key}:\n  ros__parameters:\n{text}\n")
    return file


def read_by_ros(file, name="cls_vla_policy", namespace=""):
    """As the node reads it."""
    context = rclpy.Context()
    context.init(args=[])
    node = Node(
        name,
        namespace=namespace,
        context=context,
        cli_args=["--ros-args", "--params-file", str(file)],
        start_parameter_services=False,
        enable_rosout=False,
    )
    try:
        parameters = NodeParameters(node)
        try:
            settings = parameters.read()
        except ValueError as error:
            settings = str(error)
        return settings, parameters.observation_limits(), parameters.get("cache.max_reuses")
    finally:
        node.destroy_node()
        context.try_shutdown()


def read_without_ros(file):
    with parameters_of(file) as parameters:
        try:
            settings = parameters.read()
        except ValueError as error:
            settings = str(error)
        return settings, parameters.observation_limits(), parameters.get("cache.max_reuses")


def test_the_demos_file_is_read_as_the_node_reads_it():
    file = share("config", "demo.yaml")
    settings, *_ = read_without_ros(file)
    assert [camera.name for camera in settings.cameras] == ["front", "wrist"]
    assert read_without_ros(file) == read_by_ros(file)


@pytest.mark.parametrize("key", ["/**", "cls_vla_policy", "/cls_vla_policy", "/*"])
@pytest.mark.parametrize(
    "lines",
    [
        ["rate_hz: 25.0", "observation: {max_age_s: 1.5, black_level: 12.5}"],
        ["observation.max_age_s: 2e0", "cache: {max_reuses: 7}", "cache.max_reuses: 8"],
        ["state: {joints: [a, b], units: [rad, deg]}", "camera.front: {guard: no, depth: 3}"],
        ["limits: {lower: [-1.0, -.inf], first_step: 1e-1}", "cache.max_reuses: checkpoint"],
    ],
)
def test_every_form_is_read_as_the_node_reads_it(tmp_path, key, lines):
    file = write(tmp_path, key, *lines)
    assert read_without_ros(file) == read_by_ros(file)
    assert not isinstance(read_without_ros(file)[0], str)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("action.dt_s: 1", "action.dt_s must be a number with a decimal point, got 1 (write it"),
        ("limits.lower: [1, 2]", "limits.lower must be a list of numbers with decimal points"),
        ("state.joints: [1, 2]", "state.joints must be a list of texts"),
        ("limits.lower: [1, 2]", "list of numbers with decimal points, got [1, 2] (write each"),
        ("task: off", "task must be a text, got False (write it in quotes)"),
        ("execution.rtc: 3", "execution.rtc must be one of 'auto', 'on', 'off', got 3"),
        ("policy.num_steps: 2.5", "policy.num_steps must be a whole number, got 2.5"),
        ("state.allow_partial: 1", "state.allow_partial must be true or false, got 1"),
        ("policy.num_steps: 500", "policy.num_steps must be in [0, 100], got 500"),
        ("policy.engine: fast", "policy.engine must be one of 'auto', 'eager'"),
        ("camera.front.depth: 0", "camera.front.depth must be in [1, 1000], got 0"),
    ],
)
def test_what_the_node_refuses_is_refused(tmp_path, line, said):
    file = write(tmp_path, "/**", line)
    assert said in read_without_ros(file)[0]
    by_ros = read_by_ros(file)[0]
    assert said in by_ros


@pytest.mark.parametrize(("written", "meant"), [("off", "off"), ("no", "off"), ("on", "on"),
                         ("true", "on"), ("'off'", "off"), ("auto", "auto")])  # fmt: skip
def test_on_and_off_need_no_quotes(tmp_path, written, meant):
    file = write(tmp_path, "/**", f"execution: {{rtc: {written}}}")
    assert read_without_ros(file) == read_by_ros(file)
    assert read_without_ros(file)[0].execution.rtc == meant


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("limits.uper: [0.01]", "limits.upper"),
        ("limits: {velocty: [0.01]}", "limits.velocity"),
        ("limit.velocity: [0.01]", "limits.velocity"),
        ("limits.velocty: []", "limits.velocity"),
        ("trasport: compressed", "camera.front.transport"),
        ("camera.front.trasport: compressed", "camera.front.transport"),
        ("camera.topic: x", "camera.front.topic"),
        ("polcy.path: x", "policy.path"),
        ("rate: 3.0", "rate_hz"),
        ("task_: x", "task"),
    ],
)
def test_what_is_no_parameter_is_refused_with_the_nearest_one(tmp_path, line, nearest):
    file = write(tmp_path, "/**", line)
    read = read_without_ros(file)[0]
    assert read == read_by_ros(file)[0]
    assert re.fullmatch(
        rf"(limits?\.)?[\w.]+ is no parameter of this node; the nearest one is {nearest}\. .*",
        read,
    )


def test_every_parameter_that_is_none_is_named_at_once(tmp_path):
    read = read_without_ros(write(tmp_path, "/**", "limits.uper: [0.1]", "limits.velocty: [0.1]"))
    assert "limits.uper is no" in read[0]
    assert "limits.velocty is no" in read[0]


def test_a_camera_that_is_not_named_is_said(tmp_path):
    file = write(tmp_path, "/**", "camera.wrist.topic: x")
    assert "`cameras` names ['front'], and not 'wrist'" in read_without_ros(file)[0]
    assert read_without_ros(file) == read_by_ros(file)


def test_what_every_node_has_is_no_typo(tmp_path):
    lines = ["use_sim_time: true", "start_type_description_service: false"]
    file = write(tmp_path, "/**", *lines, "qos_overrides: {/clock: {subscription: {depth: 3}}}")
    assert read_without_ros(file) == read_by_ros(file)
    assert not isinstance(read_without_ros(file)[0], str)


def test_a_file_for_a_node_in_a_namespace_is_read(tmp_path):
    file = write(tmp_path, "/left/cls_vla_policy", "rate_hz: 25.0")
    assert read_without_ros(file) == read_by_ros(file, namespace="/left")


def test_of_several_namespaces_none_is_guessed(tmp_path):
    file = tmp_path / "both.yaml"
    entry = "{cls_vla_policy: {ros__parameters: {rate_hz: 1.0}}}"
    file.write_text(f"/left: {entry}\n/right: {entry}\n")
    with pytest.raises(ValueError, match=r"several nodes, \['left/cls_vla_.*'right/"):
        read_without_ros(file)


def test_a_file_for_another_node_is_named(tmp_path):
    file = write(tmp_path, "other_node")
    with pytest.raises(ValueError, match=r"nothing for the node 'cls_vla_policy', but for \['oth"):
        read_without_ros(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "expected YAML"), ("[1, 2]", "got list"), ("a: {ros__parameters: 3}", "got int")],
)
def test_what_is_no_params_file_is_said(tmp_path, text, said):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_without_ros(file)
    with pytest.raises(FileNotFoundError, match="no params file"):
        read_without_ros(tmp_path / "none.yaml")


def test_overrides_take_the_place_of_the_files_values(tmp_path):
    file = write(tmp_path, "/**", "rate_hz: 25.0")
    with parameters_of(file, {"rate_hz": 5.0}) as parameters:
        assert parameters.get("rate_hz") == 5.0
        assert parameters.get("task") == ""


SOURCES = (
    "state.sources: [left, base]",
    "source.left.topic: left/joints",
    "source.left.fields: [position.waist, velocity.waist]",
    "source.left.names: [left_waist, left_speed]",
    "source.base.type: odometry",
    "source.base.fields: [twist.linear.x]",
)


def test_several_sources_are_a_table_in_the_nodes_form_and_the_tools(tmp_path):
    file = write(tmp_path, "/**", *SOURCES)
    settings, *_ = read_without_ros(file)
    assert settings.state.joints == ["left_waist", "left_speed", "twist.linear.x"]
    assert [s.topic for s in settings.state.sources] == ["left/joints", "base/joint_states"]
    assert read_without_ros(file) == read_by_ros(file)


def test_the_short_form_is_the_same_table(tmp_path):
    short = ("state.topic: joints", "state.joints: [a, b]", "state.sign: [1.0, -1.0]")
    (source,) = read_without_ros(write(tmp_path, "/**", *short))[0].state.sources
    assert (source.topic, source.type, source.sign) == ("joints", "joint_state", [1.0, -1.0])
    assert source.fields == ["position.a", "position.b"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("state.units: [deg]", "state.units is of the short form"),
        ("source.arm.topic: x", r"`state.sources` names \['left', 'base'\], and not 'arm'"),
        ("source.left.tipic: x", "nearest one is source.left.topic"),
        ("source.left.units: [deg]", "source.left: units: there are 2 names but 1 units"),
    ],
)
def test_a_source_with_a_mistake_is_refused_by_name(tmp_path, line, said):
    settings, *_ = read_without_ros(write(tmp_path, "/**", *SOURCES, line))
    assert re.search(said, settings)
