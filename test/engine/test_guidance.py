"""Real-time chunking gives what lerobot's gives, and goes on where the old chunk is."""

import pytest
import torch
from lerobot.configs import RTCAttentionSchedule
from lerobot.policies.rtc.configuration_rtc import RTCConfig

from cls_vla_ros.engine import Guide
from cls_vla_ros.engine.guidance import Guidance


@pytest.fixture(scope="module")
def with_rtc(make_policy):
    return make_policy(rtc_config=RTCConfig(enabled=True))


@pytest.mark.parametrize("schedule", list(RTCAttentionSchedule))
@pytest.mark.parametrize(("left", "delay"), [(50, 0), (45, 5), (8, 5), (3, 7), (50, 60)])
def test_the_chunk_is_lerobots(
    make_policy, make_engine_of, make_samples, batch_of, make_noise, schedule, left, delay
):
    policy = make_policy(rtc_config=RTCConfig(enabled=True, prefix_attention_schedule=schedule))
    samples, noise = make_samples(2), make_noise(policy, 2)
    left_over = torch.randn(left, 4, generator=torch.Generator().manual_seed(3))
    expected = policy.predict_action_chunk(
        batch_of(samples),
        noise=noise,
        inference_delay=delay,
        prev_chunk_left_over=left_over.expand(2, -1, -1),
        # lerobot's own, where the delay does not reach it
        execution_horizon=max(10, delay + 5),
    )
    engine = make_engine_of(policy)
    guides = [Guide(left_over, delay)] * 2
    actions = engine.denoise(engine.encode_prefix(samples), noise, guides=guides)
    torch.testing.assert_close(actions, expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("delay", [0, 3, 9, 10, 12, 15, 30])
def test_where_the_chunk_takes_over_something_holds_it(delay):
    _, weights = Guidance(None).targets([Guide(torch.ones(47, 3), delay)], 50, 32)
    assert (weights[0, :delay] == 1).all()
    assert (weights[0, delay : delay + 5] > 0).all()
    assert weights[0, -1] == 0


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_the_new_chunk_goes_on_where_the_old_one_is(
    steps, with_rtc, make_engine_of, make_samples, make_noise
):
    engine = make_engine_of(with_rtc)
    prefixes = engine.encode_prefix(make_samples(1))
    old, free = (engine.denoise(prefixes, make_noise(with_rtc, 1, seed), steps) for seed in (1, 2))
    guide = Guide(old[0, 10:], inference_delay=4)
    held = engine.denoise(prefixes, make_noise(with_rtc, 1, 2), steps, guides=[guide])
    missed, missed_free = ((a[0, :4] - old[0, 10:14]).abs().max() for a in (held, free))
    assert missed < 0.1 * missed_free


def test_each_sample_has_a_guide_of_its_own_or_none(
    with_rtc, make_engine_of, make_samples, make_noise
):
    engine, noise = make_engine_of(with_rtc), make_noise(with_rtc, 2)
    prefixes = engine.encode_prefix(make_samples(2))
    free = engine.denoise(prefixes, noise)
    guide = Guide(torch.ones(20, 4), 3)
    one = engine.denoise(prefixes, noise, guides=[guide, None])
    assert torch.equal(one[1], free[1])
    assert not torch.allclose(one[0], free[0], atol=1e-2)
    assert torch.equal(engine.denoise(prefixes, noise), free)  # nothing is left of it


@pytest.mark.parametrize("shape", [(51, 4), (50, 33)])
def test_a_left_over_that_is_no_chunk_is_refused(
    with_rtc, make_engine_of, make_samples, make_noise, shape
):
    engine = make_engine_of(with_rtc)
    with pytest.raises(ValueError, match="at most 50 x 32"):
        engine.denoise(
            engine.encode_prefix(make_samples(1)),
            make_noise(with_rtc, 1),
            guides=[Guide(torch.zeros(shape), 0)],
        )
