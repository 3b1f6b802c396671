"""The node whose policy runs elsewhere, over DDS: a link that is well, slow, cut, out of step."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import websockets.sync.server
from ament_index_python.packages import get_package_prefix
from node.conftest import PARAMETERS
from websockets.exceptions import ConnectionClosed

from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.inference.remote.codec import pack, unpack
from cls_vla_ros.policy.checkpoint.dataset_stats import read_seen
from cls_vla_ros.robot.checking.checkpoint import look_at_checkpoint
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.serve.answer import answer, describe
from cls_vla_ros.serve.request import parse
from cls_vla_ros.serve.sessions import Sessions

EXECUTABLE = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
REMOTE = {"policy__path": None, "policy__server_timeout_s": 0.5, "inference__timeout_s": 10.0}


class FarServer:
    """What a replica of serve_policy does, on a link that can be made bad."""

    def __init__(self, checkpoint: Path) -> None:
        self.policy = PolicyServer(*load_policy(checkpoint, "cpu"))
        self.sessions = Sessions(self.policy, 8, 60.0)
        self.metadata = describe(self.policy, read_seen(checkpoint), "far")
        self.delay_s, self.change, self.asked = 0.0, lambda made: made, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.where = f"ws://127.0.0.1:{self.port}"
        self.server, self.refuses = None, False
        self.sockets = []
        self.start()

    def start(self) -> None:
        self.server = websockets.sync.server.serve(self.talk, "127.0.0.1", self.port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        self.server.shutdown()
        for talking in self.sockets:
            talking.socket.close()
        self.sockets.clear()

    def talk(self, talking) -> None:
        self.sockets.append(talking)
        name, owner = talking.request.headers["x-session-id"], object()
        self.sessions.open(name, owner)
        talking.send(pack(self.metadata))
        for data in talking:
            if self.refuses:
                talking.send("refused: by the test")
                continue
            request = parse(unpack(data))
            self.asked.append(request)
            episode = self.sessions.begin(name, owner, request)
            made = answer(self.policy.infer(request.observation, name), request, episode, {})
            time.sleep(self.delay_s)
            with contextlib.suppress(ConnectionClosed):
                talking.send(pack(self.change(made)))


@pytest.fixture
def far(checkpoint):
    server = FarServer(checkpoint)
    yield server
    server.cut()


@pytest.fixture
def robot(make_robot, far):
    return make_robot(policy__server=far.where, **REMOTE).start()


def chunks(robot) -> list:
    return robot.peer.heard["action_chunk"]


def holds(robot, reason: str) -> bool:
    return re.search(f"holding: .*{reason}", robot.peer.diagnosis()[0]) is not None


def comes_again(robot, what: str) -> None:
    before = len(chunks(robot))
    robot.peer.feed_until(lambda: len(chunks(robot)) > before, what)


def test_it_infers_says_how_and_takes_the_limits_along(robot, far):
    comes_again(robot, "a chunk")
    robot.peer.feed_until(lambda: robot.peer.diagnosis()[0].startswith("inferring"), "well")
    values = robot.peer.diagnosis()[1]
    assert values["device"] == "cpu"
    assert values["engine"].startswith("eager")
    assert float(values["latency [ms]"]) > 0
    assert far.asked[0].reuse.limits.max_reuses == 4
    assert far.asked[0].seed == 0
    assert robot.set("cache.max_reuses", 2).successful
    robot.peer.feed_until(
        lambda: any(r.reuse and r.reuse.limits.max_reuses == 2 for r in far.asked), "new limits"
    )
    assert sum(request.reuse is not None for request in far.asked) == 2  # once each


def test_what_the_server_refuses_is_said_and_nothing_of_it_is_lost(robot, far):
    far.refuses = True
    robot.peer.feed_until(lambda: holds(robot, "answered: refused: by the test"), "hold")
    far.refuses = False
    comes_again(robot, "a chunk")
    assert far.asked[0].seed == 0
    assert far.asked[0].reuse is not None


def test_check_asks_the_server(robot, far):
    settings, findings = robot.node._declared.read(), Findings()
    seen = look_at_checkpoint(settings, findings)
    assert len(seen["observation.state"].lower) == 3
    assert not findings.bad
    far.cut()
    assert look_at_checkpoint(settings, findings) == {}
    assert "cannot be opened" in findings.bad[0]


def test_a_reset_in_flight_leaves_nothing_of_the_old_episode(robot, far):
    comes_again(robot, "a chunk")
    far.delay_s = 0.3
    asked = len(far.asked)
    robot.peer.feed_until(lambda: len(far.asked) > asked, "an inference under way")
    episode = robot.node._reset("the test")
    before = len(chunks(robot))
    far.delay_s = 0.0
    robot.peer.feed_until(lambda: len(chunks(robot)) > before + 2, "chunks of the new episode")
    assert {chunk.episode for chunk in chunks(robot)[before:]} == {episode}
    assert far.asked[-1].episode == episode


def test_a_link_that_is_slow_holds_and_recovers(robot, far):
    comes_again(robot, "a chunk")
    far.delay_s = 1.0
    robot.peer.feed_until(lambda: holds(robot, "ws://.*: no answer within 0.5 s"), "hold")
    before = len(chunks(robot))
    for _ in range(50):  # while late answers come
        robot.peer.feed()
        time.sleep(0.03)
    assert len(chunks(robot)) == before  # what came too late is not used
    far.delay_s = 0.0
    comes_again(robot, "a chunk once the link is quick")


def test_a_link_that_is_cut_holds_and_recovers(robot, far):
    comes_again(robot, "a chunk")
    far.cut()
    robot.peer.feed_until(lambda: holds(robot, "it cannot be opened"), "hold")
    before = len(chunks(robot))
    far.start()
    robot.peer.feed_until(lambda: len(chunks(robot)) > before, "a chunk when it is healed")


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made | {"id": made["id"] - 1},  # an older answer, reordered
        lambda made: made | {"episode": made["episode"] - 1},
        lambda made: made | {"actions": made["actions"][:3]},
        lambda made: {"id": made["id"], "episode": made["episode"]},
    ],
)
def test_an_answer_to_something_else_is_never_used(robot, far, change):
    comes_again(robot, "a chunk")
    far.change = change
    robot.peer.feed_until(lambda: holds(robot, "out of step"), "hold")
    before = len(chunks(robot))
    for _ in range(20):
        robot.peer.feed()
        time.sleep(0.03)
    assert len(chunks(robot)) == before
    far.change = lambda made: made
    comes_again(robot, "a chunk once the answers are right")


def test_another_policy_behind_the_same_address_is_not_obeyed(robot, far):
    comes_again(robot, "a chunk")
    far.metadata = far.metadata | {"action": [7]}
    far.cut()
    far.start()
    robot.peer.feed_until(lambda: holds(robot, "has another policy"), "hold")


def test_what_does_not_fit_fails_configure_with_the_reason(make_robot, far, capfd):
    robot = make_robot(policy__server=far.where, **REMOTE, state__joints=["one"])
    robot.node.trigger_configure()
    assert "observation.state has 3 values" in capfd.readouterr().err
    assert robot.set("policy.server", "http://there").successful is False
    robot.set("policy.server", "ws://127.0.0.1:9")
    robot.node.trigger_configure()
    assert "ws://127.0.0.1:9: it cannot be opened" in capfd.readouterr().err


WITHOUT = """
import sys, time
began = time.monotonic()

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lerobot", "transformers", "safetensors"):
            raise ModuleNotFoundError(f"{name} is not on this robot", name=name)

sys.meta_path.insert(0, Without())
sys.argv = ["policy_node", *sys.argv[1:]]
from cls_vla_ros.node.run import main
main()
"""


def test_it_starts_without_torch_and_lerobot_and_soon(far, tmp_path):
    values = PARAMETERS | {"policy.server": far.where, "autostart": True}
    file = tmp_path / "robot.yaml"
    file.write_text(json.dumps({"/**": {"ros__parameters": values}}))
    began_s = time.monotonic()
    ros = ["--ros-args", "--params-file", str(file), "-r", "__ns:=/without"]
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT, *ros],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "active: episode" in line:
                break
        took_s = time.monotonic() - began_s
        assert "active: episode" in said[-1], "".join(said)
        assert took_s < 10.0  # 3 on a machine that has nothing else to do, docs/fleet.md
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
