"""Real Ray Serve, two replicas on the CPU, spoken to by openpi's own client."""

import contextlib
import os
import random
import signal
import threading
import time

import msgpack
import numpy as np
import pytest
from fixtures.served import TOKEN, as_message
from websockets.exceptions import ConnectionClosed

from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.serve.serve_policy import main as serve_policy

ROBOTS, STEPS = 8, 6


@pytest.fixture(scope="module")
def demo():
    return load_policy(resolve_policy_path("demo"), "cpu")


def alone(demo, seed: int, observations) -> list[np.ndarray]:
    """What a server of its own makes of them."""
    server = PolicyServer(*demo)
    server.seed(seed, "default")
    return [server.infer(observation).actions for observation in observations]


def test_each_of_eight_robots_gets_what_a_server_of_its_own_makes(served, demo, frames):
    """Whatever arrives when: they share two replicas, and batches."""
    own = [frames[3 * n : 3 * n + STEPS] for n in range(ROBOTS)]
    made, batches, replicas = [[] for _ in own], [], set()

    def robot(n: int) -> None:
        client = served.client(f"robot{n}")
        replicas.add(client.get_server_metadata()["replica"])
        wait = random.Random(n)
        for step, observation in enumerate(own[n]):
            more = {"seed": 100 + n} if step == 0 else {}
            answer = client.infer(as_message(observation, episode=1, id=step, **more))
            assert (answer["id"], answer["episode"]) == (step, 1)
            made[n].append(answer["actions"])
            batches.append(answer["times"]["batch"])
            time.sleep(wait.uniform(0, 0.01))

    threads = [threading.Thread(target=robot, args=(n,)) for n in range(ROBOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for n in range(ROBOTS):
        expected = alone(demo, 100 + n, own[n])
        np.testing.assert_allclose(made[n], expected, atol=1e-5, err_msg=f"robot {n}")
    assert max(batches) > 1
    assert len(replicas) == 2


def test_a_reset_leaves_nothing_of_the_old_episode(served, demo, frames):
    client = served.client("resets")
    for step in range(3):
        client.infer(as_message(frames[step], episode=4))
    # In flight: the old episode's request and the new one's, before any answer.
    old = as_message(frames[3], episode=4)
    new = as_message(frames[0], episode=5, seed=3)
    for message in (old, new):
        client._ws.send(client._packer.pack(message))
    answers = [msgpack.unpackb(client._ws.recv(), strict_map_key=False) for _ in range(2)]
    assert [answer["episode"] for answer in answers] == [4, 5]
    assert answers[1]["reason"] == "NO_HISTORY"
    second = client.infer(as_message(frames[1], episode=5))["actions"]
    np.testing.assert_allclose(second, alone(demo, 3, frames[:2])[1], atol=1e-5)
    with pytest.raises(RuntimeError, match="episode 4 is over"):
        client.infer(as_message(frames[2], episode=4))
    assert client.infer({"reset": True})["episode"] == 6


def test_a_robot_that_comes_back_finds_its_replica_and_its_history(served, frames):
    first = served.client("returns")
    first.infer(as_message(frames[0], episode=1))
    first._ws.close()
    again = served.client("returns")
    assert again.get_server_metadata()["replica"] == first.get_server_metadata()["replica"]
    assert again.infer(as_message(frames[1], episode=1))["reason"] != "NO_HISTORY"
    taken = served.client("returns")  # and who else says that it is this robot takes its place
    with pytest.raises(ConnectionClosed, match="another connection"):
        again._ws.recv(timeout=10)
    assert taken.infer(as_message(frames[2], episode=2))["reason"] == "NO_HISTORY"


def test_a_thousand_malformed_messages_harm_nobody(served, demo, frames):
    good, bad = served.client("good"), served.client("bad")
    whole = bad._packer.pack(as_message(frames[0]))
    chance = random.Random(0)
    answered = []

    def send_all() -> None:
        for n in range(1000):
            kind = n % 4
            if kind == 0:
                data = chance.randbytes(chance.randrange(1, 200))
            elif kind == 1:
                data = whole[: chance.randrange(1, len(whole))]
            elif kind == 2:
                message = as_message(frames[0], stamp="soon", id=-n, deadline=None)
                data = bad._packer.pack(message)
            else:
                picture = {"observation.images.front": chance.randbytes(50)}
                data = bad._packer.pack(as_message(frames[0]) | picture)
            bad._ws.send(data)
            answered.append(bad._ws.recv(timeout=20))

    thread = threading.Thread(target=send_all)
    thread.start()
    expected = alone(demo, 1, frames[:10])
    for step in range(10):
        more = {"seed": 1} if step == 0 else {}
        made = good.infer(as_message(frames[step], episode=1, **more))["actions"]
        np.testing.assert_allclose(made, expected[step], atol=1e-5)
        time.sleep(0.1)
    thread.join(120)
    assert len(answered) == 1000
    assert all(isinstance(text, str) and text.startswith("refused: ") for text in answered)
    assert bad.infer(as_message(frames[0]))["actions"].shape == (12, 4)


def test_nobody_without_a_token_gets_in(served):
    for token in ("", "0123456789abcdef", TOKEN[:-1]):
        with pytest.raises(ConnectionClosed, match="no token that is known"):
            served.client(token=token)


def test_too_large_too_many_and_too_late(served, frames):
    client = served.client("large")
    with pytest.raises(ConnectionClosed, match="15728640 are taken"):
        client.infer({"observation.state": np.zeros(2**21 - 500)})
    client = served.client("hasty")
    for _ in range(30):
        with contextlib.suppress(ConnectionClosed):
            client._ws.send(client._packer.pack(as_message(frames[0])))
    with pytest.raises(ConnectionClosed, match="wait for an answer"):
        all(client._ws.recv(timeout=20) for _ in range(31))
    with pytest.raises(RuntimeError, match="late: its deadline passed"):
        served.client("late").infer(as_message(frames[0], deadline=0.0))


def test_robots_beyond_the_limit_are_refused_and_those_that_vanish_make_room(served):
    clients = []
    with pytest.raises(ConnectionClosed, match="which is all that it takes"):
        clients.extend(served.client() for _ in range(100))
    for client in clients:
        client._ws.socket.close()  # without a word
    deadline = time.monotonic() + 30
    while True:
        try:
            for _ in range(10):
                served.client()
            return
        except ConnectionClosed:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_replica_that_is_killed_is_replaced_and_its_robots_go_on(served, demo, frames):
    clients = {n: served.client(f"survivor{n}") for n in range(6)}
    pids = {n: client.get_server_metadata()["pid"] for n, client in clients.items()}
    assert len(set(pids.values())) == 2
    for n, client in clients.items():
        client.infer(as_message(frames[n], episode=1))
    killed = pids[0]
    os.kill(killed, signal.SIGKILL)
    for n, client in clients.items():
        if pids[n] != killed:
            assert client.infer(as_message(frames[n + 1], episode=1))["episode"] == 1
            continue
        with pytest.raises(ConnectionClosed):
            client._ws.recv(timeout=20)
        deadline = time.monotonic() + 60
        while True:
            try:
                again = served.client(f"survivor{n}")
                break
            except Exception:  # while Ray finds out
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert again.get_server_metadata()["pid"] != killed
        answer = again.infer(as_message(frames[0], episode=2, seed=9))
        assert answer["reason"] == "NO_HISTORY"
        np.testing.assert_allclose(answer["actions"], alone(demo, 9, frames[:1])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "--token-file and --tls-cert and --tls-key must be given"),
        (["--token-file", "none"], "No such file"),
        (["--tls-cert", "cert.pem"], "belong together"),
    ],
)
def test_it_does_not_listen_to_others_without_token_and_tls(arguments, reason, monkeypatch):
    monkeypatch.setattr("sys.argv", ["serve_policy", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match=reason):
        serve_policy()
