"""Faults over DDS: each is injected, told on /diagnostics, survived, and moves no arm wrongly."""

import re
import signal
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from faults.cases import EITHER, FAULTS, GO_ON, NONE, Fault
from faults.more_cases import MORE_FAULTS, NO_COMMAND
from faults.process import NeverReads, ProcessRig
from faults.refused_cases import REFUSED_FAULTS
from faults.rig import Rig
from node.conftest import wait_until

CAMERAS = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
RECOVERS_WITHIN_S = 10.0  # likewise: how long it took is what the table says
SAID_WITHIN_S = 15.0  # on a busy machine
REACTS_S, WATCHED_S = 0.05, 0.25  # from what is said to the last output; how long none may come
CASES = [
    (fault, mode)
    for mode in ("chunk", "stream")
    for fault in [*FAULTS, *MORE_FAULTS, *REFUSED_FAULTS]
    if mode in fault.modes
]
CASES.sort(key=lambda case: (case[0].sim_time, case[1]))  # one rig after the other


@pytest.fixture(scope="module")
def rigs():
    """One rig of a kind at a time: faults follow each other in one node, as on a robot."""
    made: dict[tuple[str, bool], Rig] = {}
    yield made
    for rig in made.values():
        rig.close()


@pytest.fixture
def rig(rigs, checkpoint, fault, mode, request):
    kind = mode, fault.sim_time
    for other in set(rigs) - {kind}:
        rigs.pop(other).close()
    if kind not in rigs:
        rigs[kind] = Rig(checkpoint, mode, use_sim_time=fault.sim_time)
    failed_before = request.session.testsfailed
    yield rigs[kind]
    if request.session.testsfailed > failed_before:  # the next one gets a whole rig
        rigs.pop(kind).close()


def seconds_until(condition, timeout_s: float, what) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {what()}"
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("fault", "mode"),
    [
        pytest.param(
            fault,
            mode,
            id=f"{fault.name}-{mode}",
            marks=pytest.mark.slow if mode != fault.modes[0] else (),
        )
        for fault, mode in CASES
    ],
)
def test_a_fault_moves_nothing_wrongly_is_told_and_is_over_when_it_ends(
    rig, fault: Fault, mode, record_property
):
    recorder = rig.recorder
    assert rig.is_healthy()
    recorder.problems.clear()
    episode = rig.episode
    before = rig.diagnosis()[2]
    heard = rig.peer.heard["/diagnostics"]
    first = len(heard)
    seen: dict[str, tuple[str, bytes]] = {}  # by expression: what matched, and the level

    def is_said() -> bool:
        for message in heard[first:]:
            (status,) = message.status
            news = {v.key: v.value for v in status.values if before.get(v.key) != v.value}
            if any(key.startswith("messages refused") for key in news):  # maybe in the same words
                news |= {v.key: v.value for v in status.values if v.key == "last error"}
            for expression in fault.said:
                for text in (status.message, *map(": ".join, news.items())):
                    if (found := re.search(expression, text)) and expression not in seen:
                        seen[expression] = found.group(0), status.level
        return len(seen) == len(fault.said)

    with fault.inject(rig):
        began_s, began_ns = time.time(), rig.sensors.now_ns()
        seconds_until(is_said, SAID_WITHIN_S, lambda: f"{fault.said}, but {rig.diagnosis()}")
        said_s = time.time()
        if fault.actions == NONE:
            time.sleep(REACTS_S + WATCHED_S)
            late = recorder.count_since(said_s + REACTS_S)
            assert not late, f"{late} outputs although the node had said that it holds"
            assert rig.diagnosis()[0] != DiagnosticStatus.OK
        elif fault.actions == NO_COMMAND:
            time.sleep(REACTS_S + WATCHED_S)
            late = recorder.count_since(said_s + REACTS_S)
            chunks = recorder.chunks_since(said_s + REACTS_S)
            assert chunks
            assert late == len(chunks), f"{late - len(chunks)} commands although it has no say"
            assert not any(chunk.armed for chunk in chunks)
        elif fault.actions == GO_ON:
            seconds_until(
                lambda: rig.has_acted_since(began_s, began_ns), 2.0, lambda: "actions in it"
            )
            assert rig.diagnosis()[0] == DiagnosticStatus.OK
        else:
            assert fault.actions == EITHER
            time.sleep(WATCHED_S)
    ended_s, ended_ns = time.time(), rig.sensors.now_ns()
    recovered_s = seconds_until(
        lambda: rig.has_acted_since(ended_s, ended_ns), RECOVERS_WITHIN_S, rig.diagnosis
    )
    if fault.new_episode:
        assert recorder.chunks[-1].episode == rig.episode > episode
    elif "GPU" not in fault.name:
        assert rig.episode == episode
    wait_until(lambda: rig.diagnosis()[1] == "inferring", "the diagnostics say inferring")
    assert not recorder.problems
    record_property(
        "fault",
        {
            "name": fault.name,
            "follows": fault.follows or fault.actions,
            "said": "; ".join(text for text, _ in seen.values()) or "inferring",
            "mode": mode,
            "recovered_s": recovered_s,
        },
    )


# The node as a process


@pytest.fixture(scope="module")
def process_rig(rigs, tmp_path_factory):
    for kind in list(rigs):  # it has the same name
        rigs.pop(kind).close()
    rig = ProcessRig(tmp_path_factory.mktemp("process"), CAMERAS)
    yield rig
    rig.close()


@pytest.fixture
def process(process_rig):
    """Active, and publishing."""
    if process_rig.process is None or process_rig.process.poll() is not None:
        process_rig.start()
    assert process_rig.is_healthy()
    process_rig.recorder.problems.clear()
    return process_rig


def note(record_property, name: str, follows: str, said: str, recovered_s: float | None) -> None:
    fault = {"name": name, "follows": follows, "said": said, "mode": "chunk"}
    record_property("fault", fault | {"recovered_s": recovered_s})


@pytest.mark.slow
def test_a_subscriber_that_never_reads_holds_up_nobody(process, record_property):
    subscribers = process.peer.count_subscribers("action_chunk")
    with NeverReads() as reader:
        wait_until(
            lambda: process.peer.count_subscribers("action_chunk") > subscribers, "the subscriber"
        )
        time.sleep(0.5)  # so that the node has found it too
        reader.stop()
        at_s = time.time()
        time.sleep(2.0)
        count = process.recorder.count_since(at_s)
    assert count > 2 * 10  # chunks and trajectories, at half of the rate at least
    assert process.is_healthy()
    assert process.peer.diagnosis()[0] == "inferring"
    assert not process.recorder.problems
    note(record_property, "subscriber that never reads", GO_ON, "inferring", 0.0)


@pytest.mark.slow
def test_a_node_that_is_killed_and_started_again_goes_on(process, record_property):
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    ended_s = time.time()
    time.sleep(0.2)
    assert not process.recorder.count_since(ended_s)
    process.peer.heard["/diagnostics"].clear()
    time.sleep(1.1)  # more than its period
    assert not process.peer.heard["/diagnostics"]
    process.start()
    active_s = time.time()
    recovered_s = seconds_until(
        lambda: process.recorder.count_since(active_s), RECOVERS_WITHIN_S, lambda: process.log
    )
    assert {chunk.episode for chunk in process.recorder.chunks} == {1}
    wait_until(lambda: process.peer.diagnosis()[0] == "inferring", "inferring")
    assert not process.recorder.problems
    said = "nothing more, so that an aggregator shows STALE"
    note(record_property, "node killed and restarted", NONE, said, recovered_s)


def test_a_node_that_is_ended_under_load_exits_with_0_and_publishes_no_more(
    process, record_property
):
    assert process.end(signal.SIGTERM) == 0, process.log
    ended_s, heard = time.time(), len(process.recorder.published_at_s)
    time.sleep(0.3)
    assert not process.recorder.count_since(ended_s)
    assert len(process.recorder.published_at_s) - heard <= 2  # on their way as it ended
    assert "Traceback" not in process.log
    assert not process.recorder.problems
    note(record_property, "SIGTERM under load", "exit code 0, nothing more", "nothing", None)
