"""`replay` into a node that runs: it waits until that is active, and leaves a report too."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
from ament_index_python.packages import get_package_prefix

from cls_vla_ros.endurance.node_process import policy_node
from cls_vla_ros.endurance.policy_client import PolicyClient

EXECUTABLE = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "replay")
TIMEOUT_S = 90.0


@pytest.fixture
def start(params_file):
    processes = []

    def make(*options) -> subprocess.Popen:
        command = [sys.executable, EXECUTABLE, *options, "--params-file", params_file]
        processes.append(
            subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return processes[-1]

    yield make
    for process in processes:
        process.kill()
        process.wait()


def test_it_waits_until_the_node_is_active_and_leaves_a_report(
    start, params_file, checkpoint, make_bag, tmp_path
):
    bag, out = make_bag(frames=20, events=[]).path, tmp_path / "out"
    rclpy.init()
    log = tmp_path / "node.log"
    try:
        with policy_node(params_file, log, use_sim_time=True, policy=str(checkpoint)):
            replay = start(
                bag, "--when-active", "--report", out, "--policy", checkpoint, "--lockstep"
            )
            with PolicyClient(lambda _: None, lambda _: None) as client:
                client.transition("configure", TIMEOUT_S)  # now somebody listens
                time.sleep(2.0)
                assert replay.poll() is None
                assert not out.exists()
                client.transition("activate", TIMEOUT_S)
            said, _ = replay.communicate(timeout=TIMEOUT_S)
    finally:
        rclpy.try_shutdown()
    assert replay.returncode == 0, said
    assert str(out) in said
    report = json.loads((out / "report.json").read_text())
    assert len(report["inferences"]) == 20, said
    assert report["device"] == "cpu"
    assert (out / "similarity.png").stat().st_size > 10_000
    assert len(list((out / "recording").glob("*.mcap"))) == 1


def test_ctrl_c_while_it_waits_ends_it_quietly(start, make_bag):
    replay = start(make_bag(frames=2).path, "--when-active")
    time.sleep(4.0)  # until it waits
    assert replay.poll() is None
    replay.send_signal(signal.SIGINT)
    said, _ = replay.communicate(timeout=TIMEOUT_S)
    assert replay.returncode == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--loop", "--report", "x"), "--loop has no end"),
        (("--out", "x", "--report", "y"), "with --out it is lockstep, and there is a report"),
    ],
)
def test_what_does_not_go_together_is_said(start, make_bag, options, reason):
    replay = start(make_bag(frames=1).path, *options)
    said, _ = replay.communicate(timeout=TIMEOUT_S)
    assert replay.returncode == 2
    assert reason in " ".join(said.split())
