"""The rules of reuse, one by one, and over random sequences."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cls_vla_ros.engine import EncodedPrefix
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail
from cls_vla_ros.inference.reuse.glance_look import Look
from cls_vla_ros.inference.reuse.prefix_cache import MAX_ENTRIES, PrefixCache, PrefixCacheQueue
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.inference.session import Seen, Session

CAMERAS = frozenset({"a", "b"})


def picture(seed: int) -> np.ndarray:
    random = np.random.default_rng(abs(seed))
    return random.integers(100, 110, (64, 64, 3), dtype=np.uint8)


def seen(stamp_s=0.0, task="open", cameras=CAMERAS, pictures=None, state=(0.0, 0.0)) -> Seen:
    if pictures is None:
        pictures = {"a": picture(1 + int(abs(stamp_s) * 1e6))}
    thumbnails = {name: Thumbnail.of(image) for name, image in pictures.items()}
    return Seen(stamp_s, task, cameras, pictures, thumbnails, np.array(state))


def prefix(angle: float = 0.0) -> EncodedPrefix:
    """What is seen is at `angle`; what is predicted is always at 0."""
    out = torch.tensor([[[math.cos(angle), math.sin(angle)], [1.0, 0.0]]])
    return EncodedPrefix(torch.zeros(1), torch.zeros(1), torch.ones(1, dtype=torch.bool), out, 2)


def make_session(**limits) -> Session:
    session = Session(0.5, 0, has_gate=True, is_trained=True)
    session.limits = ReuseLimits(**limits)
    return session


def compute(session, what=None, angle=0.0, reason=Reason.NO_HISTORY):
    return session.computed(prefix(angle), what or seen(), reason, session.episode)


def choose(session, what) -> Reason:
    entry, reason = session.choose(what, session.episode)
    assert (entry is not None) == (reason is Reason.REUSED)
    return reason


def test_a_camera_that_freezes_is_seen_within_one_frame():
    """Also when it was alive when the prefix was computed."""
    session = make_session()
    compute(session)
    assert choose(session, seen(0.1)) is Reason.REUSED
    same = seen(0.1).pictures
    assert choose(session, seen(0.2, pictures=same)) is Reason.FRAME_FROZEN
    session.limits = ReuseLimits(guard_frozen=False)
    assert choose(session, seen(0.3, pictures=same)) is Reason.REUSED


class Looking:
    """A glance that says what it is told to."""

    def __init__(self, score: float) -> None:
        self.says = score

    def score(self, then, now) -> float:
        assert then is not now
        return self.says


def glancing(score: float, **limits) -> Session:
    session = Session(0.5, 0, has_gate=True, is_trained=True, glance=Looking(score))
    session.limits = ReuseLimits(**limits)
    compute(session, replace(seen(), look=Look({}, torch.zeros(2))))
    return session


@pytest.mark.parametrize(
    ("score", "limits", "reason"),
    [
        (0.4, {}, Reason.REUSED),
        (0.5, {}, Reason.REUSED),  # above it is what refuses
        (0.6, {}, Reason.GLANCE),
        (0.6, {"glance_threshold": 0.7}, Reason.REUSED),
        (0.6, {"max_motion": 1.0}, Reason.MOTION),  # cheaper to know, and said first
    ],
)
def test_the_glance_refuses_above_its_threshold(score, limits, reason):
    session = glancing(score, **limits)
    now = replace(seen(0.1, state=(3.0, 0.0)), look=Look({}, torch.zeros(2)))
    assert choose(session, now) is reason
    assert session.glance_score == score
    session.reset()
    assert math.isnan(session.glance_score)


@pytest.mark.parametrize(
    ("threshold", "look", "reason"),
    [
        (0.5, Look({}, torch.zeros(2)), Reason.REUSED),  # the glance knows that it is the arm
        (1.0, Look({}, torch.zeros(2)), Reason.FRAME_DIFFERENT),
        (0.5, None, Reason.FRAME_DIFFERENT),  # it could not look
    ],
)
def test_where_the_glance_has_no_say_the_frame_guard_looks(threshold, look, reason):
    session = glancing(0.1, glance_threshold=threshold)
    changed = {"a": picture(1).copy()}
    changed["a"][16:48, 16:48] = 255
    assert choose(session, replace(seen(0.1, pictures=changed), look=look)) is reason


def test_a_black_picture_is_refused_whatever_the_glance_says():
    session = glancing(0.0)
    black = {"a": np.zeros((64, 64, 3), np.uint8)}
    now = replace(seen(0.1, pictures=black), look=Look({}, torch.zeros(2)))
    assert choose(session, now) is Reason.FRAME_BLACK


@pytest.mark.parametrize("change", [{"task": "close"}, {"cameras": frozenset({"a"})}])
def test_a_change_empties_the_queue_whatever_else_forbids_the_reuse(change):
    session = make_session()
    compute(session)
    session.limits = ReuseLimits(enabled=False)
    assert session.choose(seen(0.1, **change), 0) == (None, Reason.REUSE_OFF)
    assert session.cache_length == 0


def test_prefixes_that_nobody_can_use_are_not_kept():
    session = Session(-1.0, 0, has_gate=True, is_trained=False)
    compute(session)
    assert session.cache_length == 0
    assert choose(session, seen(0.1)) is Reason.GATE_UNTRAINED
    session = make_session(enabled=False)
    compute(session)
    assert session.cache_length == 0
    session.limits = ReuseLimits()
    assert choose(session, seen(0.1)) is Reason.REUSE_OFF  # when that one was computed
    compute(session, seen(0.1))
    assert choose(session, seen(0.2)) is Reason.REUSED


def test_another_instruction_is_no_scene_change():
    session = make_session()
    compute(session)
    decision = compute(session, seen(0.1, task="close"), angle=math.pi)
    assert not decision.has_history
    assert not decision.scene_changed
    assert compute(session, seen(0.2, task="close"), angle=math.pi).scene_changed


def test_a_state_counts_in_its_standard_deviations():
    session = Session(0.5, 0, has_gate=True, is_trained=True, state_std=np.array([0.1, 10.0]))
    session.limits = ReuseLimits(max_motion=5.1)
    assert math.isnan(session.motion(seen()))
    compute(session)
    there = seen(0.1, state=(0.3, 40.0))
    assert session.motion(there) == pytest.approx(5.0)
    assert choose(session, there) is Reason.REUSED
    assert choose(session, seen(0.2, state=(0.4, 40.0))) is Reason.MOTION


@pytest.mark.parametrize(("period_s", "frames"), [(0.0375, 4), (0.075, 2), (0.15, 1), (0.1, 1)])
def test_the_largest_age_is_not_missed_by_rounding(period_s, frames):
    """0.15 s is four frames of 37.5 ms, whatever the stamps' last digits are."""
    random = np.random.default_rng(0)
    session = make_session(max_age_s=0.15, max_reuses=100)
    reused = []
    for number in range(200):
        now = seen(1.7e9 + number * period_s + random.uniform(-0.002, 0.002))
        entry, reason = session.choose(now, 0)
        reused.append(entry is not None)
        if entry is None:
            compute(session, now, reason=reason)
        else:
            session.reused(entry, 0)
    assert sum(reused) == 200 * frames // (frames + 1)


def test_a_largest_age_of_zero_reuses_nothing():
    session = make_session(max_age_s=0.0)
    compute(session)
    assert choose(session, seen(0.01)) is Reason.PREFIX_TOO_OLD
    assert choose(session, seen(0.02)) is Reason.PREFIX_TOO_OLD


def test_a_gate_that_has_stopped_to_vary_is_blind_until_it_varies_again():
    session = Session(0.5, 0, has_gate=True, is_trained=True, min_spread=0.01)
    for number in range(20):  # the first of them has no history
        assert not session.is_blind
        compute(session, seen(number / 10), angle=0.1)
        assert choose(session, seen(number / 10 + 0.05)) is Reason.REUSED
    compute(session, seen(3.0), angle=0.1)
    assert session.is_blind
    assert choose(session, seen(3.05)) is Reason.GATE_BLIND
    session.reset()  # the light is still what it was
    compute(session, seen(4.0), angle=0.1)
    assert choose(session, seen(4.05)) is Reason.GATE_BLIND
    for number in range(4):
        compute(session, seen(5.0 + number / 10), angle=0.5)
    assert not session.is_blind
    assert choose(session, seen(5.4)) is Reason.REUSED


def test_a_gate_without_a_say_is_not_asked_whether_it_sees():
    session = Session(-1.0, 0, has_gate=True, is_trained=True, min_spread=0.01)
    for number in range(21):
        compute(session, seen(number / 10), angle=0.1)
    assert session.is_blind
    assert choose(session, seen(2.05)) is Reason.REUSED
    session.set_thresholds(-1.0, [[0.1, 0.2]])
    assert choose(session, seen(2.06)) is Reason.GATE_BLIND


def test_an_untrained_gate_says_so_also_after_what_it_takes_for_a_scene_change():
    session = Session(1.0, 0, has_gate=True, is_trained=False)
    assert choose(session, seen()) is Reason.NO_HISTORY
    for number in (1, 2):
        compute(session, seen(number))
        assert choose(session, seen(number + 0.1)) is Reason.GATE_UNTRAINED


def test_a_prefix_is_reused_while_nothing_is_against_it():
    session = make_session()
    assert choose(session, seen()) is Reason.NO_HISTORY
    compute(session)
    assert choose(session, seen(0.1)) is Reason.REUSED


@pytest.mark.parametrize(
    ("limits", "now", "reason"),
    [
        ({"enabled": False}, seen(0.1), Reason.REUSE_OFF),
        ({}, seen(0.1, task="close"), Reason.TASK_CHANGED),
        ({}, seen(0.1, cameras=frozenset({"a"})), Reason.CAMERAS_CHANGED),
        ({"max_age_s": 0.05}, seen(0.1), Reason.PREFIX_TOO_OLD),
        ({"max_reuses": 0}, seen(0.1), Reason.MAX_REUSES),
        ({}, seen(-0.1), Reason.CLOCK_JUMPED),
        ({"guard_threshold": 0.0}, seen(0.1), Reason.FRAME_DIFFERENT),
        ({"max_motion": 0.49}, seen(0.1, state=(0.3, 0.4)), Reason.MOTION),
        ({"max_motion": 0.51}, seen(0.1, state=(0.3, 0.4)), Reason.REUSED),
    ],
)
def test_each_rule_refuses_with_its_reason(limits, now, reason):
    session = make_session(**limits)
    compute(session)
    assert choose(session, now) is reason


@pytest.mark.parametrize(
    "reason", [Reason.TASK_CHANGED, Reason.CAMERAS_CHANGED, Reason.CLOCK_JUMPED]
)
def test_what_makes_prefixes_useless_for_good_empties_the_queue(reason):
    session = make_session()
    compute(session)
    change = {
        Reason.TASK_CHANGED: seen(0.1, task="close"),
        Reason.CAMERAS_CHANGED: seen(0.1, cameras=frozenset({"a"})),
        Reason.CLOCK_JUMPED: seen(-1.0),
    }[reason]
    assert choose(session, change) is reason
    assert session.cache_length == 0


def test_an_untrained_gate_stays_closed_unless_allowed():
    session = Session(0.5, 0, has_gate=True, is_trained=False)
    compute(session)
    assert choose(session, seen(0.1)) is Reason.GATE_UNTRAINED
    session.limits = ReuseLimits(allow_untrained=True)
    compute(session, seen(0.1))
    assert choose(session, seen(0.2)) is Reason.REUSED


def test_without_cls_head_there_is_no_reuse():
    session = Session(0.5, 0, has_gate=False, is_trained=False)
    without = replace(prefix(), obs_cls_out=None)
    assert session.computed(without, seen(), Reason.GATE_OFF, 0) is None
    assert choose(session, seen(0.1)) is Reason.GATE_OFF


def test_after_max_reuses_the_gate_looks_again():
    session = make_session(max_reuses=2)
    compute(session)
    for number in (1, 2):
        entry, _ = session.choose(seen(0.1 * number), 0)
        session.reused(entry, 0)
    assert entry.reuses == 2
    assert choose(session, seen(0.3)) is Reason.MAX_REUSES
    compute(session, seen(0.3), reason=Reason.MAX_REUSES)
    assert choose(session, seen(0.4)) is Reason.REUSED


def test_a_scene_change_empties_the_queue_and_the_next_prefix_is_computed():
    session = make_session()
    compute(session)
    compute(session, seen(0.1))
    assert session.cache_length == 2
    assert compute(session, seen(0.2), angle=math.pi / 2).scene_changed
    assert session.cache_length == 0
    assert choose(session, seen(0.3)) is Reason.SCENE_CHANGED
    compute(session, seen(0.3))
    assert choose(session, seen(0.4)) is Reason.REUSED


def test_an_entry_whose_use_failed_is_not_used_again():
    session = make_session()
    compute(session)
    session.choose(seen(0.1), 0)
    session.failed(0)
    assert choose(session, seen(0.1)) is Reason.PREVIOUS_ERROR
    compute(session, seen(0.2))
    session.reset()
    session.failed(0)  # of the past
    assert choose(session, seen(0.3)) is Reason.NO_HISTORY


def test_an_inference_of_the_past_leaves_no_trace():
    session = make_session()
    compute(session)
    entry, _ = session.choose(seen(0.1), 0)
    session.reset()
    session.reused(entry, 0)
    session.computed(prefix(), seen(0.2), Reason.NO_HISTORY, 0)
    assert session.cache_length == 0
    assert session.statistics.inferences == 0
    assert choose(session, seen(0.3)) is Reason.NO_HISTORY


def test_statistics_are_kept_of_the_episode_and_in_total():
    session = make_session()
    compute(session)
    entry, _ = session.choose(seen(0.1), 0)
    session.reused(entry, 0)
    compute(session, seen(0.2), angle=math.pi, reason=Reason.PREFIX_TOO_OLD)
    statistics = session.statistics
    assert statistics.hit_rate == 1 / 2
    assert statistics.reuse_rate == pytest.approx(1 / 3)
    assert statistics.reasons == {Reason.NO_HISTORY: 1, Reason.REUSED: 1, Reason.PREFIX_TOO_OLD: 1}
    assert statistics.summary() == (
        "3 inferences: no_history 1, reused 1, prefix_too_old 1; 2 evaluations, 1 cached (50%)"
    )
    _, ended = session.reset()
    assert ended is statistics
    assert session.statistics.inferences == 0
    assert session.total.inferences == 3


def test_the_adaptive_threshold_is_the_gates(monkeypatch):
    session = make_session(adaptive=True)
    compute(session)
    for number in range(20):
        decision = compute(session, seen(number), angle=math.pi / 2)
        assert decision.threshold == 0.5
    assert session.threshold == pytest.approx(0.45)


def test_the_threshold_in_force_is_that_of_the_time_since_the_last_full_inference():
    """Not since the last inference: the reused ones in between have no part in it."""
    session = Session(0.5, 0, has_gate=True, is_trained=True, by_interval=[[0.1, 0.8], [0.5, 0.4]])
    assert compute(session, seen(10.0)).threshold == 0.5  # no history, no interval
    entry, reason = session.choose(seen(10.2), 0)
    assert reason is Reason.REUSED
    session.reused(entry, 0)
    assert compute(session, seen(10.3)).threshold == pytest.approx(0.6)
    assert compute(session, seen(10.4)).threshold == pytest.approx(0.8)
    session.reset()
    assert compute(session, seen(11.0)).threshold == 0.5
    session.threshold = 0.3
    assert compute(session, seen(11.1)).threshold == 0.3


def test_the_threshold_in_force_is_that_of_the_motion_since_the_last_full_inference():
    rows, std = [[0.1, 0.5, 0.9, 1.0]], np.array([1.0, 2.0])
    session = Session(0.1, 0, has_gate=True, is_trained=True, by_interval=rows, state_std=std)
    still, moved, more = (seen(10.0 + n, state=(0.0, y)) for n, y in enumerate((0, 1.9, 3.9)))
    assert compute(session, still).threshold == 0.1
    assert compute(session, moved).threshold == 0.9  # 0.95 standard deviations
    assert compute(session, more).threshold == 0.5


def test_adapting_moves_the_thresholds_by_interval_too():
    session = Session(0.5, 0, has_gate=True, is_trained=True, by_interval=[[1.0, 0.7]])
    session.limits = ReuseLimits(adaptive=True)
    for number in range(21):
        compute(session, seen(number), angle=math.pi / 2)
    assert compute(session, seen(21)).threshold == pytest.approx(0.65)
    session.set_thresholds(0.5, [[1.0, 0.7]])
    assert compute(session, seen(22)).threshold == pytest.approx(0.7)


@pytest.mark.parametrize("number", [0, 11])
def test_the_queue_has_a_bound(number):
    with pytest.raises(ValueError, match="1 to 10"):
        PrefixCacheQueue(number)


class SessionMachine(RuleBasedStateMachine):
    """Always in bounds, and never a prefix of another task, camera set, episode or robot."""

    def __init__(self):
        super().__init__()
        self.sessions = [make_session(), make_session()]
        self.time_s = 0.0
        self.task, self.cameras = "open", CAMERAS
        self.made_for: dict[int, tuple] = {}  # what each prefix was computed for
        self.kept = []  # so that no id is given twice
        self.history = [None, None]  # the task of it
        self.position = 0.0

    @rule(
        robot=st.integers(0, 1),
        angle=st.sampled_from([0.0, 0.5, 2.0]),
        step_s=st.floats(0.01, 0.6),
        moves=st.floats(-1, 1),
        fails=st.booleans(),
    )
    def infer(self, robot, angle, step_s, moves, fails):
        session = self.sessions[robot]
        self.time_s += step_s
        self.position = min(max(self.position + moves, -3.0), 3.0)
        now = seen(self.time_s, self.task, self.cameras, state=(self.position, 0.0))
        belongs = (robot, self.task, self.cameras, session.episode)
        entry, reason = session.choose(now, session.episode)
        if entry is not None:
            assert self.made_for[id(entry.prefix)] == belongs
            assert 0 <= self.time_s - entry.stamp_s <= 1.1 * session.limits.max_age_s
            assert abs(self.position - entry.state[0]) <= session.limits.max_motion
            assert session.limits.enabled
            assert session.consecutive_reuses < session.limits.max_reuses
            if fails:
                session.failed(session.episode)
                assert session.cache_length == 0
            else:
                session.reused(entry, session.episode)
            return
        assert reason is not Reason.REUSED
        if fails:
            return
        made = prefix(angle)
        self.kept.append(made)
        self.made_for[id(made)] = belongs
        decision = session.computed(made, now, reason, session.episode)
        assert decision.has_history == (self.history[robot] == self.task)
        if decision.has_history:
            assert decision.similarity == pytest.approx(math.cos(angle), abs=1e-6)
        if decision.scene_changed:
            assert session.cache_length == 0
        self.history[robot] = self.task

    @rule(robot=st.integers(0, 1))
    def reset(self, robot):
        self.sessions[robot].reset()
        self.history[robot] = None
        assert self.sessions[robot].cache_length == 0

    @rule(task=st.sampled_from(["open", "close"]))
    def change_task(self, task):
        self.task = task

    @rule(cameras=st.sampled_from([CAMERAS, frozenset({"a"})]))
    def lose_a_camera(self, cameras):
        self.cameras = cameras

    @rule(jump_s=st.floats(-5, 5))
    def jump(self, jump_s):
        self.time_s += jump_s

    @rule(
        max_age_s=st.floats(0, 2),
        max_reuses=st.integers(0, 4),
        max_motion=st.floats(0, 2),
        enabled=st.booleans(),
    )
    def limit(self, **limits):
        for session in self.sessions:
            session.limits = replace(session.limits, **limits)

    @invariant()
    def bounded(self):
        assert all(session.cache_length <= MAX_ENTRIES for session in self.sessions)


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_queue_pushes_the_oldest_out():
    queue = PrefixCacheQueue()
    nowhere = np.zeros(2)
    entries = [PrefixCache(prefix(), float(i), "", {}, CAMERAS, nowhere) for i in range(12)]
    for entry in entries:
        queue.push(entry)
    assert len(queue) == MAX_ENTRIES
    assert queue.newest is entries[-1]
    queue.discard(entries[0])  # gone already
    queue.discard(entries[-1])
    assert queue.newest is entries[-2]
    assert queue.nbytes == 9 * prefix().nbytes
