"""What the package says of itself is true."""

import ast
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cls_vla_ros.robot.parameters.parameter_specs import markdown_table

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "cls_vla_ros").rglob("*.py"))
ROOMS = (  # calls point to the left only
    *("console", "policy", "engine", "inference", "robot", "recordings", "evaluation"),
    *("simulation", "node", "benchmark", "endurance", "demo"),
)
ROS_PACKAGES = {
    *("ament_index_python", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "launch"),
    *("launch_ros", "lifecycle_msgs", "rcl_interfaces", "rclpy", "rosgraph_msgs", "sensor_msgs"),
    *("std_msgs", "std_srvs", "trajectory_msgs"),
}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def room_of(module: str) -> str | None:
    match = re.match(r"cls_vla_ros\.(\w+)", module)
    return match[1] if match and match[1] in ROOMS else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_calls_point_downward_and_rclpy_stays_in_its_room(path):
    room = path.relative_to(ROOT / "cls_vla_ros").parts[0]
    imports = imports_of(path)
    if room in ROOMS:
        above = ROOMS[ROOMS.index(room) + 1 :]
        assert not [name for name in imports if room_of(name) in above]
    if room in ("policy", "engine", "inference"):
        assert not {name.split(".")[0] for name in imports} & ROS_PACKAGES
        assert "cls_vla_ros.msg" not in imports


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 300


def test_package_xml_declares_what_the_code_imports():
    root = ET.parse(ROOT / "package.xml").getroot()
    assert root.get("format") == "3"
    declared = {e.text for tag in ("depend", "exec_depend") for e in root.iter(tag)}
    files = [*SOURCES, *(ROOT / "launch").glob("*.py")]
    imported = {name.split(".")[0] for path in files for name in imports_of(path)}
    assert imported & ROS_PACKAGES == declared & ROS_PACKAGES


def test_the_version_is_the_same_everywhere():
    version = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()
    assert version in (ROOT / "CHANGELOG.rst").read_text()


def test_the_readmes_table_of_parameters_is_the_codes():
    assert markdown_table() in (ROOT / "README.md").read_text()


def test_each_message_field_is_documented_above_it():
    for path in (ROOT / "msg").glob("*.msg"):
        previous = ""
        for line in path.read_text().splitlines():
            if line and not line.startswith("#") and "=" not in line:
                assert previous.startswith("#"), f"{path.name}: {line}"
            previous = line


def test_nothing_names_this_machine_or_an_index():
    git = ["git", "ls-files", "-z"]
    tracked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = set(tracked.strip("\0").split("\0")) - {"test/test_package.py"}
    assert len(names) > 50
    for name in names:
        found = re.search(
            rb"/work/|/root/|index-url|find-links|file://", (ROOT / name).read_bytes()
        )
        assert not found, name


def test_pip_installs_policy_and_inference_without_ros_and_lerobot_discovers_the_type(tmp_path):
    """As on a training box: no rclpy, no messages, and

    `--policy.type=cls_smolvla --policy.discover_packages_path=cls_vla_ros.policy`.
    """
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(ROOT / "cls_vla_ros", source / "cls_vla_ros")
    for name in ("setup.py", "pyproject.toml", "commands.txt"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, source], check=True)
    code = (
        "import sys; sys.modules['rclpy'] = None; "
        f"sys.path.insert(0, {str(target)!r}); "
        "from lerobot.configs import PreTrainedConfig; "
        "from lerobot.configs.parser import load_plugin; "
        "assert 'cls_smolvla' not in PreTrainedConfig.get_known_choices(); "
        "load_plugin('cls_vla_ros.policy'); "
        "assert 'cls_smolvla' in PreTrainedConfig.get_known_choices(); "
        "import cls_vla_ros.inference as i; "
        f"assert i.__file__.startswith({str(target)!r}), i.__file__"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
