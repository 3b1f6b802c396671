import math
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cls_vla_ros.robot.action.chunk import Chunk, Command, Hold, next_index
from cls_vla_ros.robot.action.chunk_player import ChunkPlayer
from cls_vla_ros.robot.action.shaping import MotionLimits

S = 10**9
T0 = 1_700_000_000 * S  # as large as real stamps are: float64 has not enough digits for them
DT_S = 0.1


def at(seconds: float) -> int:
    return T0 + round(seconds * S)


def ramp(
    stamp_s: float = 0.0, *, begin: float = 0.0, speed: float = 1.0, steps: int = 11
) -> Chunk:
    """Two joints: the first moves with `speed`, the second the other way."""
    positions = begin + speed * DT_S * np.arange(steps)
    return Chunk(np.stack([positions, -positions], axis=1), at(stamp_s), DT_S)


def constant(value: float, stamp_s: float = 0.0, steps: int = 11) -> Chunk:
    return ramp(stamp_s, begin=value, speed=0.0, steps=steps)


def playing(chunk: Chunk, now_s: float = 0.0, **more) -> ChunkPlayer:
    player = ChunkPlayer(**{"blend_s": 0.2} | more)
    assert player.put(chunk, at(now_s)) == ""
    return player


def value(player: ChunkPlayer, now_s: float) -> float:
    return player.sample(at(now_s)).values[0]


def test_before_the_first_chunk_it_holds():
    player = ChunkPlayer(blend_s=0.2, hold_publish_s=1.0)
    assert player.sample(at(0)) == Hold("no chunk has come yet")
    assert player.in_force(at(0)) is None


def test_between_two_steps_it_interpolates():
    command = playing(ramp()).sample(at(0.25))
    np.testing.assert_allclose(command.values, [0.25, -0.25])
    assert command.step_fraction == pytest.approx(2.5)
    assert not command.blending


def test_a_chunk_that_comes_late_begins_where_its_time_is():
    assert value(playing(ramp(), now_s=0.6), 0.6) == pytest.approx(0.6)


def test_after_the_last_step_it_holds_and_says_so():
    player = playing(ramp())
    assert player.in_force(at(1.05)) is None, "though nobody sampled that it ended"
    assert value(player, 1.0) == pytest.approx(1.0)
    hold = player.sample(at(1.05))
    assert hold == Hold("the chunk ended 0.050 s ago, and no other has come")
    assert player.in_force(at(1.05)) is None
    assert isinstance(player.sample(at(100)), Hold)


def test_on_hold_the_last_command_is_repeated_only_where_and_as_long_as_that_is_asked_for():
    player = playing(ramp(), hold_publish_s=0.5)
    assert value(player, 0.95) == pytest.approx(0.95)
    np.testing.assert_allclose(player.sample(at(1.05)).values, [0.95, -0.95])
    np.testing.assert_allclose(player.sample(at(1.45)).values, [0.95, -0.95])
    assert player.sample(at(1.46)).values is None


def test_a_flush_ends_everything_with_its_reason():
    player = playing(ramp())
    player.sample(at(0.1))
    player.flush("the reset service was called")
    assert player.sample(at(0.2)) == Hold("the reset service was called")
    assert player.in_force(at(0.2)) is None


def test_after_a_flush_a_chunk_plays_again_whatever_its_stamp():
    player = playing(ramp(5.0), now_s=5.0)
    player.flush("the time jumped back by 4 s")
    assert player.put(ramp(1.0), at(1.0)) == ""
    assert value(player, 1.1) == pytest.approx(0.1)


def test_time_that_goes_back_unannounced_flushes_too():
    player = playing(ramp(), hold_publish_s=10.0)
    player.sample(at(0.5))
    assert player.sample(at(0.4)) == Hold("the time went back by 0.100 s")
    assert isinstance(player.sample(at(0.6)), Hold), "it does not play on when time catches up"
    assert player.sample(at(0.6)).values is None, "nor repeat what it commanded in the future"


def test_a_chunk_after_a_flush_and_a_jump_back_does_not_fade_from_the_future():
    player = playing(constant(3.0, 5.0), now_s=5.0, hold_publish_s=10.0)
    player.sample(at(5.0))
    player.flush("the time jumped back by 4 s")
    player.put(ramp(1.0), at(1.0))
    assert value(player, 1.0) == 0.0


def test_an_older_observation_is_ignored_with_a_reason():
    player = playing(ramp(0.3), now_s=0.4)
    said = player.put(constant(9.0, 0.1), at(0.5))
    assert said == "the chunk's observation is 0.200 s older than that of the one before"
    assert value(player, 0.6) == pytest.approx(0.3)


def test_an_older_observation_is_ignored_also_when_the_newer_chunk_has_ended():
    player = playing(ramp(0.3, steps=2), now_s=0.3)
    assert isinstance(player.sample(at(0.5)), Hold)
    assert "0.200 s older" in player.put(constant(9.0, 0.1), at(0.5))


def test_a_chunk_whose_span_is_past_is_refused_with_a_reason():
    player = playing(ramp(1.5), now_s=1.5)
    assert player.put(ramp(0.4), at(1.6)) == (
        "the chunk came too late: its last step was due 0.200 s ago, its observation is 1.200 s "
        "old"
    )
    assert value(player, 1.6) == pytest.approx(0.1)


def test_a_chunk_from_the_future_is_refused_with_a_reason():
    player = ChunkPlayer(blend_s=0.2)
    assert "stamped 0.500 s in the future: two clocks differ" in player.put(ramp(0.5), at(0))
    assert isinstance(player.sample(at(0.6)), Hold)


def test_a_new_chunk_takes_over_linearly_from_what_the_old_one_would_command():
    player = playing(ramp())
    assert player.put(constant(5.0, 0.4), at(0.5)) == ""
    assert value(player, 0.5) == pytest.approx(0.5)
    command = player.sample(at(0.55))
    assert command.values[0] == pytest.approx(0.75 * 0.55 + 0.25 * 5.0)
    assert command.blending
    assert command.step_fraction == pytest.approx(1.5)
    assert value(player, 0.7) == pytest.approx(5.0)
    assert not player.sample(at(0.7)).blending


def test_an_old_chunk_that_ends_meanwhile_stands_still_at_its_last_step():
    player = playing(ramp())
    player.put(constant(5.0, 0.5), at(0.95))
    assert value(player, 1.05) == pytest.approx(0.5 * 1.0 + 0.5 * 5.0)


def test_a_third_chunk_fades_from_the_fade():
    player = playing(constant(0.0))
    player.put(constant(1.0, 0.4), at(0.5))
    player.put(constant(2.0, 0.5), at(0.6))
    assert value(player, 0.6) == pytest.approx(0.5)
    assert value(player, 0.65) == pytest.approx(0.75 * 0.75 + 0.25 * 2.0)


def test_a_chunk_that_waited_for_the_timer_does_not_jump():
    player = playing(constant(0.0))
    assert value(player, 0.55) == 0.0
    player.put(constant(1.0, 0.4), at(0.5))  # its thread read the clock before the timer did
    assert value(player, 0.55) == 0.0
    assert value(player, 0.65) == pytest.approx(0.5)


def test_after_a_hold_it_fades_from_where_the_joints_are():
    player = playing(ramp())
    player.sample(at(1.5))
    player.put(constant(2.0, 1.5), at(1.6), positions=np.array([1.0, 1.0]))
    np.testing.assert_allclose(player.sample(at(1.6)).values, [1.0, 1.0])
    np.testing.assert_allclose(player.sample(at(1.7)).values, [1.5, -0.5])


def test_while_something_is_commanded_the_fade_begins_there_and_not_at_the_joints():
    player = playing(ramp())
    player.put(constant(2.0, 0.4), at(0.5), positions=np.array([9.0, 9.0]))
    assert value(player, 0.5) == pytest.approx(0.5)
    player = playing(ramp(), hold_publish_s=1.0)
    player.sample(at(1.0))
    player.sample(at(1.5))
    player.put(constant(2.0, 1.4), at(1.6), positions=np.array([9.0, 9.0]))
    assert value(player, 1.6) == pytest.approx(1.0)


def test_without_positions_the_first_command_is_the_chunks_own():
    player = playing(ramp())
    player.sample(at(1.5))
    player.put(constant(2.0, 1.5), at(1.6))
    assert value(player, 1.6) == pytest.approx(2.0)


def test_no_blend_time_means_at_once():
    player = playing(ramp(), blend_s=0.0)
    player.put(constant(5.0, 0.4), at(0.5))
    assert value(player, 0.5) == 5.0


def test_what_is_in_force_is_what_a_sample_would_give():
    player = playing(ramp(), hold_publish_s=0.5)
    player.put(constant(5.0, 0.4, steps=3), at(0.5))
    expected = player.in_force(at(0.55))
    np.testing.assert_array_equal(player.sample(at(0.55)).values, expected)
    hold = player.sample(at(0.65))
    np.testing.assert_array_equal(hold.values, player.in_force(at(0.65)))
    assert player.in_force(at(1.2)) is None


def test_the_caller_may_change_what_it_got():
    player = playing(ramp(), hold_publish_s=1.0)
    player.sample(at(1.0)).values[:] = 99
    player.sample(at(1.1)).values[:] = 99
    assert player.sample(at(1.1)).values[0] == pytest.approx(1.0)


def test_chunks_without_samples_do_not_pile_up():
    player = playing(ramp())
    for i in range(1, 100):
        assert player.put(ramp(0.1 * i), at(0.1 * i)) == ""
    assert len(player._parts) <= 4  # 0.2 s of fades at 10 Hz


def test_next_index_is_the_first_step_that_is_not_past():
    assert next_index(at(0), DT_S, at(0)) == 0
    assert next_index(at(0), DT_S, at(0.2)) == 2
    assert next_index(at(0), DT_S, at(0.2) + 1) == 3
    assert next_index(at(0), DT_S, at(-5)) == 0
    assert next_index(at(0), DT_S, at(99)) == 990


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Chunk(np.zeros(3), 0, DT_S), r"expected actions of \(T, A\), got \(3,\)"),
        (lambda: Chunk(np.zeros((0, 3)), 0, DT_S), r"got \(0, 3\)"),
        (lambda: Chunk(np.full((1, 1), math.nan), 0, DT_S), "NaN or infinity"),
        (lambda: Chunk(np.zeros((1, 1)), 0, 0.0), "dt_s must be above 0"),
        (lambda: Chunk(np.zeros((1, 1)), 0, math.nan), "dt_s must be above 0"),
        (lambda: ChunkPlayer(blend_s=-0.1), "blend_s must be 0 or above"),
        (lambda: ChunkPlayer(blend_s=math.nan), "blend_s must be 0 or above"),
        (lambda: ChunkPlayer(blend_s=0, hold_publish_s=math.inf), "hold_publish_s must be"),
        (
            lambda: playing(ramp()).put(Chunk(np.zeros((9, 3)), at(0), DT_S), at(0.1)),
            "3 values in each step, but what it takes over from has 2",
        ),
        (
            lambda: ChunkPlayer(blend_s=1).put(ramp(), at(0), np.array([0, math.nan])),
            "positions must be finite or None",
        ),
    ],
)
def test_what_makes_no_sense_is_explained(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_threads_do_not_disturb_each_other():
    player, stop, errors = ChunkPlayer(blend_s=0.2), threading.Event(), []

    def put():
        try:
            for i in range(2000):
                player.put(constant(1.0, 0.001 * i), at(0.001 * i))
                if i % 100 == 0:
                    player.flush("again")
        except Exception as error:
            errors.append(error)
        stop.set()

    thread = threading.Thread(target=put)
    thread.start()
    i = 0
    while not stop.is_set():
        i += 1
        sampled = player.sample(at(0.0001 * i))
        if isinstance(sampled, Command):
            np.testing.assert_allclose(sampled.values, [1.0, -1.0])
    thread.join()
    assert not errors


class Player(RuleBasedStateMachine):
    """A timer at 100 Hz, and chunks that come when they like.

    However they come: no command is faster than the chunks and the fades allow, none is beyond
    what the chunks and the positions hold, and none comes after the newest chunk's end.
    """

    BLEND_S, TICK_S = 0.2, 0.01

    def __init__(self):
        super().__init__()
        self.player = ChunkPlayer(blend_s=self.BLEND_S)
        self.now = 0  # ticks
        self.newest: Chunk | None = None
        self.before: np.ndarray | None = None
        self.speed = 0.0
        self.extreme = 0.0

    @property
    def now_ns(self):
        return at(self.now * self.TICK_S)

    @rule(
        begin=st.floats(-3, 3),
        speed=st.floats(-2, 2),
        age=st.integers(0, 40),
        steps=st.integers(1, 30),
    )
    def put(self, begin, speed, age, steps):
        chunk = ramp((self.now - age) * self.TICK_S, begin=begin, speed=speed, steps=steps)
        positions = self.player.in_force(self.now_ns)
        positions = np.zeros(2) if positions is None else positions
        refused = self.player.put(chunk, self.now_ns, np.zeros(2))
        is_older = self.newest is not None and chunk.stamp_ns < self.newest.stamp_ns
        assert bool(refused) == (is_older or chunk.end_ns < self.now_ns)
        if refused:
            return
        if self.before is None:
            self.before = positions  # where the joints are
        self.newest = chunk
        self.speed = max(self.speed, abs(speed))
        self.extreme = max(self.extreme, *np.abs(chunk.actions[:, 0]))

    @rule(ticks=st.integers(1, 30))
    def play(self, ticks):
        for _ in range(ticks):
            self.now += 1
            ended = self.newest is None or self.now_ns > self.newest.end_ns
            sampled = self.player.sample(self.now_ns)
            assert isinstance(sampled, Hold if ended else Command)
            if ended:
                assert sampled.values is None
                self.before = None
                continue
            assert (np.abs(sampled.values) <= self.extreme + 1e-9).all()
            if self.before is not None:
                moved = np.abs(sampled.values - self.before).max()
                assert moved <= self.most() + 1e-9
            self.before = sampled.values

    def most(self) -> float:
        """How far one tick may go: each fade adds its slope, one that just ended too."""
        fades = len(self.player._parts)
        return (self.speed + fades * 2 * self.extreme / self.BLEND_S) * self.TICK_S

    @precondition(lambda self: self.newest is not None)
    @rule()
    def flush(self):
        self.player.flush("reset")
        self.newest = self.before = None
        assert self.player.sample(self.now_ns) == Hold("reset")

    @invariant()
    def the_first_joint_mirrors_the_second(self):
        values = self.player.in_force(self.now_ns)
        if values is not None:
            assert values[0] == pytest.approx(-values[1], abs=1e-9)


TestStateMachine = Player.TestCase
TestStateMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(
    old=st.tuples(st.floats(-3, 3), st.floats(-2, 2)),
    new=st.tuples(st.floats(-3, 3), st.floats(-2, 2)),
    blend_s=st.floats(0.02, 0.5),
    handover_s=st.floats(0.1, 0.9),
    latency_s=st.floats(0, 0.1),
)
def test_at_a_hand_over_no_command_is_faster_than_both_chunks_and_their_difference(
    old, new, blend_s, handover_s, latency_s
):
    first = ramp(begin=old[0], speed=old[1])
    second = ramp(handover_s - latency_s, begin=new[0], speed=new[1])
    player = playing(first, blend_s=blend_s)
    tick_s, fastest = 0.001, max(abs(old[1]), abs(new[1]))
    before = value(player, handover_s - tick_s)
    assert player.put(second, at(handover_s)) == ""
    for tick in range(int(blend_s / tick_s) + 5):
        now_s = handover_s + tick * tick_s
        now = player.sample(at(now_s))
        if isinstance(now, Hold):
            break
        apart = max(abs(first.at(at(t))[0] - second.at(at(t))[0]) for t in (now_s, now_s - tick_s))
        most = (fastest + apart / blend_s) * tick_s
        assert abs(now.values[0] - before) <= most + 1e-8  # times are whole nanoseconds
        before = now.values[0]


# Within limits

PERIOD_NS = S // 50


def limited(velocity=1.0, acceleration=5.0, **more) -> ChunkPlayer:
    endless = np.full(2, np.inf)
    of = MotionLimits(np.full(2, velocity), np.full(2, acceleration), -endless, endless)
    return ChunkPlayer(blend_s=0.2, limits=of, **more)


def commands(player: ChunkPlayer, begin_ns: int, count: int) -> np.ndarray:
    """(count, A) of one every period; NaN where nothing is commanded."""
    samples = [player.sample(begin_ns + n * PERIOD_NS) for n in range(count)]
    return np.array([np.full(2, np.nan) if s.values is None else s.values for s in samples])


def assert_within(values: np.ndarray, velocity=1.0, acceleration=5.0) -> None:
    speeds = np.diff(values, axis=0) * 50
    assert np.abs(speeds).max() <= velocity + 1e-6
    assert np.abs(np.diff(speeds, axis=0)).max() * 50 <= acceleration + 1e-4


def far() -> Chunk:
    """Half a radian away, and back after a second."""
    values = np.where(np.arange(60) < 30, 0.5, 0.0)
    return Chunk(np.stack([values, -values], axis=1), 0, 1 / 30)


def test_what_is_commanded_follows_a_chunk_within_the_limits():
    player = limited()
    assert not player.put(far(), 0, np.zeros(2))
    values = commands(player, PERIOD_NS, 95)
    assert_within(np.vstack([np.zeros((2, 2)), values]))
    assert values[45, 0] == pytest.approx(0.5, abs=0.01)


def test_the_first_command_is_near_what_it_begins_at_however_late_it_comes():
    player = limited(acceleration=np.inf)
    player.put(far(), 0, np.zeros(2))
    assert np.abs(player.sample(S // 2).values).max() <= 1.0 / 50 + 1e-9


def test_a_new_chunk_goes_on_from_what_is_commanded_and_not_from_what_that_follows():
    player = limited()
    player.put(far(), 0, np.zeros(2))
    before = commands(player, PERIOD_NS, 12)
    now_ns = 12 * PERIOD_NS
    np.testing.assert_array_equal(player.in_force(now_ns), before[-1])
    player.put(Chunk(np.zeros((60, 2)), now_ns, 1 / 30), now_ns)
    assert_within(np.vstack([before, commands(player, now_ns + PERIOD_NS, 40)]))


def test_what_ends_comes_to_rest_within_the_limits_and_then_holds():
    player = limited()
    player.put(far(), 0, np.zeros(2))
    before = commands(player, PERIOD_NS, 12)
    player.flush("the chunk is refused")
    after = commands(player, 13 * PERIOD_NS, 20)
    ended = int(np.argmax(np.isnan(after[:, 0])))
    assert 5 <= ended <= 12
    assert np.isnan(after[ended:]).all()
    assert_within(np.vstack([before, after[:ended], after[ended - 1]]))


def test_what_brakes_says_so_and_a_stop_is_at_once():
    player = limited(hold_publish_s=1.0)
    player.put(far(), 0, np.zeros(2))
    commands(player, PERIOD_NS, 12)
    player.flush("the chunk is refused")
    assert player.sample(13 * PERIOD_NS).brakes
    player.flush("paused", repeats=False)
    assert player.sample(14 * PERIOD_NS) == Hold("paused")


def test_without_an_acceleration_nothing_brakes():
    player = limited(acceleration=np.inf)
    player.put(far(), 0, np.zeros(2))
    commands(player, PERIOD_NS, 12)
    player.flush("the chunk is refused")
    assert player.sample(13 * PERIOD_NS).values is None


def test_after_ticks_that_stalled_it_begins_at_rest():
    player = limited()
    player.put(far(), 0, np.zeros(2))
    before = commands(player, PERIOD_NS, 12)
    later = commands(player, 30 * PERIOD_NS, 3)
    assert np.abs(later[0] - before[-1]).max() <= 5.0 * 0.02**2 / 2 + 1e-9


def test_what_was_repeated_begins_at_rest_again():
    player = limited(hold_publish_s=1.0)
    player.put(Chunk(np.zeros((2, 2)), 0, 1 / 30), 0, np.zeros(2))
    commands(player, PERIOD_NS, 12)
    now_ns = 20 * PERIOD_NS
    player.put(Chunk(np.ones((60, 2)), now_ns, 1 / 30), now_ns)
    assert np.abs(player.sample(now_ns + PERIOD_NS).values).max() <= 5.0 * 0.02**2 / 2 + 1e-9


def test_a_command_tells_what_it_follows():
    player = limited()
    player.put(far(), 0, np.zeros(2))
    command = player.sample(S // 2)
    np.testing.assert_allclose(command.target, [0.5, -0.5])
