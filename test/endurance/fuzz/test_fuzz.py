from pathlib import Path

import pytest
from sensor_msgs.msg import JointState

from cls_vla_ros.endurance.fuzz.fuzz import fuzz, read_corpus, table_of, write_case
from cls_vla_ros.endurance.fuzz.messages import Fuzzer
from cls_vla_ros.endurance.fuzz.target import HandledWronglyError, Target
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer

CORPUS = Path(__file__).parents[2] / "corpus"


def test_two_thousand_messages_are_handled():
    figures = fuzz(2000, seed=0)
    assert figures.failures == []
    assert figures.growth_mb < 20
    verdicts = {verdict for _, verdict in figures.verdicts}
    assert verdicts == {"accepted", "refused"}
    assert sum(figures.verdicts.values()) == 2000
    assert table_of(figures).row_count >= 16
    for kind in ("image: valid", "compressed: valid", "joints: valid"):
        assert figures.verdicts[kind, "accepted"] > 0


@pytest.mark.parametrize("case", read_corpus(CORPUS), ids=lambda case: case.kind)
def test_what_once_failed_does_not_any_more(case):
    assert Target().handle(case.message).seconds < 0.5


def test_the_same_seed_makes_the_same_messages():
    one, other = Fuzzer(3), Fuzzer(3)
    for _ in range(50):  # as text: NaN does not equal itself
        assert repr(one.case()) == repr(other.case())


@pytest.mark.parametrize("error", [ValueError, KeyError])
def test_a_fault_in_the_node_is_found(monkeypatch, error):
    def fail(*_):
        raise error("a fault")

    target = Target()
    monkeypatch.setattr(ObservationBuffer, "put_joint_state", fail)
    with pytest.raises(HandledWronglyError, match="good messages"):
        target.handle(JointState())


def test_a_failure_is_kept_for_the_corpus(tmp_path):
    case = Fuzzer(0).case()
    write_case(tmp_path / "new" / "failed", case)
    assert [kept.message for kept in read_corpus(tmp_path / "new")] == [case.message]
    with pytest.raises(ValueError, match="no messages"):
        read_corpus(tmp_path)
