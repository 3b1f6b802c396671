import math
import threading

import pytest

from cls_vla_ros.robot.observation.source_health import (
    SourceHealth,
    SourceLimits,
    StampError,
    skew_problem,
    skew_s,
)

T0 = 1_700_000_000 * 10**9


def at(seconds: float) -> int:
    return T0 + round(seconds * 1e9)


def health(**limits) -> SourceHealth:
    return SourceHealth("front/image_raw", SourceLimits(**{"max_age_s": 0.5} | limits))


def came(source: SourceHealth, stamp_s: float, now_s: float | None = None, **more) -> None:
    stamp_ns, _ = source.arrived(at(stamp_s), at(stamp_s if now_s is None else now_s))
    source.usable(stamp_ns, **more)


def test_a_source_that_never_came_is_named():
    assert health().problems(at(0)) == ["no message yet on front/image_raw"]


def test_a_source_of_which_nothing_could_be_read_is_told_from_one_that_never_came():
    source = health()
    source.arrived(at(0), at(0))
    assert source.problems(at(0)) == ["no usable message yet on front/image_raw"]


def test_a_fresh_source_has_no_problems():
    source = health()
    came(source, 0.0, 0.1, checksum=1, mean=0.0)
    assert source.problems(at(0.5)) == []


def test_a_source_that_is_too_old_says_how_old():
    source = health()
    came(source, 0.0)
    assert source.problems(at(0.8)) == ["front/image_raw is 0.80 s old; at most 0.5 may be"]


def test_messages_that_cannot_be_read_do_not_make_a_source_younger():
    source = health()
    came(source, 0.0)
    source.arrived(at(0.8), at(0.8))
    assert "0.80 s old" in source.problems(at(0.8))[0]


def test_the_limits_can_change_while_it_runs():
    source = health()
    came(source, 0.0)
    source.limits = SourceLimits(max_age_s=1.0)
    assert source.problems(at(0.8)) == []


def test_an_age_that_no_source_has_hints_at_the_clocks():
    source = health()
    came(source, 0.0)
    assert "use_sim_time and /clock" not in source.problems(at(59.0))[0]
    assert "use_sim_time and /clock" in source.problems(at(61.0))[0]


def test_a_message_before_the_newest_one_is_refused():
    source = health()
    came(source, 1.0)
    with pytest.raises(StampError, match=r"out of order: stamped 0.100 s before one that came"):
        source.arrived(at(0.9), at(1.1))
    came(source, 1.0, 1.1)  # two drivers may stamp the same
    assert source.to_values(at(1.1))["front/image_raw: out of order"] == 1


def test_a_message_from_the_future_is_refused_and_spoils_nothing():
    source = health()
    with pytest.raises(StampError, match=r"stamped 0.60 s in the future; at most 0.5 may be$"):
        source.arrived(at(0.6), at(0.0))
    with pytest.raises(StampError, match="Two clocks differ"):
        source.arrived(at(99), at(0.0))
    came(source, 0.4, 0.0)
    assert source.problems(at(0.0)) == []
    assert source.to_values(at(0.0))["front/image_raw: stamped in the future"] == 2


def test_a_source_that_is_ahead_after_the_clock_went_back_is_a_problem():
    source = health()
    came(source, 10.0)
    assert source.problems(at(9.0)) == [
        "front/image_raw is stamped 1.00 s in the future; at most 0.5 may be"
    ]


def test_a_stamp_of_zero_becomes_the_time_of_arrival_and_is_said_once():
    source = health()
    said = "stamps on front/image_raw are zero: the time of arrival is used"
    assert source.arrived(0, at(1.0)) == (at(1.0), said)
    source.clear()
    assert source.arrived(0, at(1.1)) == (at(1.1), "")
    assert source.arrived(at(1.2), at(1.2)) == (at(1.2), "")
    assert source.to_values(at(1.2))["front/image_raw: stamps of zero"] == 2


def test_the_same_bytes_for_too_long_are_a_frozen_camera():
    source = health(frozen_s=1.0)
    for stamp_s in (0.0, 0.5, 1.0):
        came(source, stamp_s, checksum=7)
        assert source.problems(at(stamp_s)) == []
    came(source, 1.5, checksum=7)
    assert source.problems(at(1.5)) == [
        "front/image_raw is frozen: the same bytes for 1.50 s; at most 1 may be"
    ]
    came(source, 1.6, checksum=8)
    assert source.problems(at(1.6)) == []


def test_a_source_without_a_checksum_is_never_frozen():
    source = health(frozen_s=0.0)
    came(source, 0.0)
    came(source, 1.0)
    assert source.problems(at(1.0)) == []


def test_a_black_picture_is_a_problem_until_there_is_light():
    source = health(black_level=4.0)
    came(source, 0.0, mean=3.9)
    assert source.problems(at(0.0)) == [
        "front/image_raw is black: its mean brightness is 3.9 of 255; at least 4 must be"
    ]
    came(source, 0.1, mean=4.0)
    assert source.problems(at(0.1)) == []


def test_all_problems_are_said():
    source = health(frozen_s=1.0, black_level=4.0)
    came(source, 0.0, checksum=7, mean=0.0)
    came(source, 2.0, checksum=7, mean=0.0)
    assert len(source.problems(at(3.0))) == 3


def test_after_clear_it_is_as_if_nothing_had_come():
    source = health(frozen_s=0.1)
    came(source, 10.0, checksum=7)
    source.clear()
    assert source.problems(at(0.0)) == ["no message yet on front/image_raw"]
    came(source, 0.0, checksum=7)
    assert source.problems(at(0.0)) == []
    assert source.to_values(at(0.0))["front/image_raw: rate [Hz]"] == 0.0


def test_the_rate_is_right_from_the_start_and_falls_when_the_messages_end():
    source = health()
    key = "front/image_raw: rate [Hz]"
    assert source.to_values(at(0))[key] == 0.0
    for i in range(31):
        came(source, i / 30)
    assert source.to_values(at(1.0))[key] == pytest.approx(30.0)
    for i in range(31, 600):
        came(source, i / 30)
    assert source.to_values(at(599 / 30))[key] == pytest.approx(30.0, rel=0.01)
    assert len(source._arrivals) <= 152
    assert source.to_values(at(599 / 30 + 2.5))[key] == pytest.approx(15.0, rel=0.01)
    assert source.to_values(at(30.0))[key] == 0.0


def test_the_age_is_nan_before_anything_came():
    source = health()
    assert math.isnan(source.to_values(at(0))["front/image_raw: age [ms]"])
    came(source, 0.0)
    assert source.to_values(at(0.25))["front/image_raw: age [ms]"] == pytest.approx(250)


def test_sources_that_are_too_far_apart_are_named():
    stamps = {"wrist": at(0.3), "front": at(0.0), "joint_states": at(0.1)}
    assert skew_s(stamps) == pytest.approx(0.3)
    assert skew_problem(stamps, 0.3) == ""
    assert skew_problem(stamps, 0.2) == (
        "the sources are 0.300 s apart; at most 0.2 may be: front is the oldest, wrist the newest"
    )


def test_one_source_is_never_apart():
    assert skew_problem({"front": at(0.0)}, 0.0) == ""


def test_messages_may_arrive_in_one_thread_and_be_used_in_another():
    source, errors = health(), []

    def look():
        try:
            for i in range(2000):
                source.problems(at(i / 1000))
                source.to_values(at(i / 1000))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for i in range(2000):
        came(source, i / 1000)
    thread.join()
    assert not errors
