"""What the package says of itself is true."""

import ast
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cls_vla_ros"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in SOURCES})
ROOMS = (  # calls point to the left only
    *("console", "policy", "engine", "inference", "robot", "recordings", "evaluation"),
    *("simulation", "serve", "node", "benchmark", "endurance", "demo"),
)
ROOMS_WITH_ROS = ("node", "endurance", "demo")
OPTIONAL = {  # what is used where it is there, and done without where it is not
    "console/share.py": {"ament_index_python"},
    "robot/observation/images.py": {"cv_bridge"},
}
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


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    match = re.match(r"cls_vla_ros\.(\w+)", module)
    return match[1] if match and match[1] in ROOMS else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_calls_point_downward_and_ros_stays_in_its_rooms(path):
    room = path.relative_to(PACKAGE).parts[0]
    imports = imports_of(path)
    if room == "__init__.py":
        assert not imports
        return
    above = ROOMS[ROOMS.index(room) + 1 :]
    assert not [name for name in imports if room_of(name) in above]
    if room not in ROOMS_WITH_ROS:
        optional = OPTIONAL.get(str(path.relative_to(PACKAGE)), set())
        assert not ({name.split(".")[0] for name in imports} & ROS_PACKAGES) - optional
        assert "cls_vla_ros.msg" not in imports


def test_no_file_imports_itself_by_way_of_others():
    modules = {module_of(path): path for path in SOURCES}
    imported = {
        name: {i for i in imports_of(path) if i in modules and i != name}
        for name, path in modules.items()
        if path.name != "__init__.py"  # a package's own names, for those who import it
    }
    TopologicalSorter(imported).prepare()  # raises CycleError, with the files


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_folders_can_be_held_in_the_head(folder):
    assert (folder / "__init__.py").read_text().startswith('"""')
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12


def test_commands_exist_and_nobody_takes_them_for_a_library():
    lines = (ROOT / "commands.txt").read_text().splitlines()
    entries = [re.fullmatch(r"(\w+) = ([\w.]+):(\w+)", line).groups() for line in lines]
    modules = {module_of(path): path for path in SOURCES}
    for _, module, function in entries:
        assert f"def {function}(" in modules[module].read_text()
    commands = {module for _, module, _ in entries}
    assert not [(p.name, i) for p in SOURCES for i in imports_of(p) if i in commands]
    install = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros")
    assert {path.name for path in install.iterdir()} == {name for name, *_ in entries}
    for path in install.iterdir():
        assert os.access(path, os.X_OK)
        assert '__name__ == "__main__"' in path.read_text()  # a process it spawns imports it again


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small(path):
    assert len(path.read_text().splitlines()) <= 300


def test_package_xml_declares_what_the_code_imports():
    root = ET.parse(ROOT / "package.xml").getroot()
    assert root.get("format") == "3"
    declared = {e.text for tag in ("depend", "exec_depend") for e in root.iter(tag)}
    files = [*SOURCES, *(ROOT / "launch").glob("*.py")]
    imported = {name.split(".")[0] for path in files for name in imports_of(path)}
    assert (imported & ROS_PACKAGES) - {"cv_bridge"} == declared & ROS_PACKAGES


def test_the_formatter_is_the_same_before_a_commit_and_in_the_tests():
    pinned = re.search(r"^ruff==(.+)$", (ROOT / "requirements" / "dev.txt").read_text(), re.M)
    assert f"rev: v{pinned[1]}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_the_version_is_the_same_everywhere():
    version = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()
    assert version in (ROOT / "CHANGELOG.rst").read_text()


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


def test_lerobot_discovers_the_type_in_what_colcon_built():
    code = """
from lerobot.configs import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins

register_third_party_plugins()
assert "cls_smolvla" in PreTrainedConfig.get_known_choices()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


TRAINING_BOX = """
import pkgutil, sys

for name in {ros_packages}:
    sys.modules[name] = None
sys.path.insert(0, {target})
sys.prefix = {target}
from pathlib import Path

from lerobot.configs import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins

assert "cls_smolvla" not in PreTrainedConfig.get_known_choices()
register_third_party_plugins()
assert "cls_smolvla" in PreTrainedConfig.get_known_choices()

import cls_vla_ros

assert cls_vla_ros.__file__.startswith({target}), cls_vla_ros.__file__
for module in pkgutil.walk_packages(cls_vla_ros.__path__, "cls_vla_ros."):
    if module.name.split(".")[1] in {rooms} and module.name != "cls_vla_ros.simulation.arm":
        __import__(module.name)

from cls_vla_ros.console.share import share
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source
from cls_vla_ros.robot.load_server import load_server
from cls_vla_ros.robot.parameters.params_file import parameters_of

with parameters_of(share("config", "demo.yaml"), {{"policy.device": "cpu"}}) as parameters:
    (episode,) = open_episodes([Path({bag})], parameters, Source())
    server = load_server(parameters.read(), 0, print)
frame = next(iter(episode.frames()))
assert server.infer(frame.observation).actions.shape == (server.config.chunk_size, 4)
"""


def test_pip_installs_all_but_the_node_without_ros_and_lerobot_discovers_the_type(tmp_path):
    """As on a training box: no rclpy, no messages, and `--policy.type=cls_smolvla` alone."""
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("cls_vla_ros", "config", "lerobot_policy_cls_smolvla", "policies"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.py", "pyproject.toml", "commands.txt"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, source], check=True)
    assert (target / "bin" / "calibrate").is_file()
    code = TRAINING_BOX.format(
        ros_packages=sorted(ROS_PACKAGES | {"rclpy", "cls_vla_ros.msg"}),
        rooms=[room for room in ROOMS if room not in ROOMS_WITH_ROS],
        target=repr(str(target)),
        bag=repr(str(ROOT / "bags" / "demo")),
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
