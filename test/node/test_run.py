"""The node as a process: its first moment, and a start by itself."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix
from node.conftest import PARAMETERS

EXECUTABLE = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
TIMEOUT_S = 60


@pytest.fixture
def start(tmp_path):
    processes = []

    def make(**overrides) -> subprocess.Popen:
        file = tmp_path / "robot.yaml"
        values = PARAMETERS | {name.replace("__", "."): v for name, v in overrides.items()}
        file.write_text(json.dumps({"/**": {"ros__parameters": values}}))
        command = [sys.executable, str(EXECUTABLE), "--ros-args", "--params-file", str(file),
                   "-r", "__ns:=/test_run"]  # fmt: skip
        processes.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
            )
        )
        return processes[-1]

    yield make
    for process in processes:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen, text: str) -> list[str]:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"ended without {text!r}: {lines}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_that_it_imports_and_dies_quietly_of_a_signal_then(start, number):
    process = start()
    assert len(read_until(process, "importing torch")) == 1
    process.send_signal(number)
    rest, _ = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, rest) == (0, "")


def test_with_autostart_it_is_active_and_ends_as_ever(start, checkpoint):
    process = start(autostart=True, policy__path=str(checkpoint))
    read_until(process, "active: episode 1")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_with_autostart_a_wrong_path_ends_it_with_the_reason_and_1(start):
    process = start(autostart=True, policy__path="/no/such/folder")
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "configure failed: FileNotFoundError: the checkpoint /no/such/folder does not" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file|Error opening YAML"), ("a: [", "Couldn't parse params file")],
)
def test_a_params_file_that_cannot_be_read_ends_it_in_one_line(tmp_path, content, said):
    file = tmp_path / "robot.yaml"
    if content is not None:
        file.write_text(content)
    command = [sys.executable, str(EXECUTABLE), "--ros-args", "--params-file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stderr.splitlines()[-1])
    assert str(file) in done.stderr


def test_without_autostart_a_wrong_path_waits_for_a_better_one(start):
    process = start(policy__path="/no/such/folder")
    read_until(process, "unconfigured: waiting")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
