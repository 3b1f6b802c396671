"""Training for few denoising steps."""

import pytest
import torch
from lerobot.policies.common.flow_matching import sample_time_beta

from cls_vla_ros.policy import CLSSmolVLAPolicy
from cls_vla_ros.policy.training.few_steps import few_step_batch, shifted

TEACHER_STEPS = 10


def test_times_are_shifted_to_the_noise_and_stay_between_0_and_1():
    time = torch.linspace(0, 1, 11)
    assert torch.equal(shifted(time, 1.0), time)
    later = shifted(time, 4.0)
    assert torch.equal(later[[0, -1]], time[[0, -1]])
    assert later[5].item() == pytest.approx(0.8)  # 4 x 0.5 / (1 + 3 x 0.5)
    assert (later.diff() > 0).all()


def test_a_policy_draws_lerobots_times_and_shifts_them(with_stock_weights):
    def drawn(**overrides):
        model = with_stock_weights(**overrides).model
        torch.manual_seed(3)
        return model.sample_time(500, torch.device("cpu"))

    torch.manual_seed(3)
    stock = sample_time_beta(500, "cpu", alpha=1.5, beta=1.0, scale=0.999, offset=0.001)
    assert torch.equal(drawn(), stock)
    assert torch.equal(drawn(time_shift=4.0), shifted(stock, 4.0))


@pytest.fixture
def teacher(with_stock_weights):
    """Its flow is bent, so that few steps do not end where many do."""
    policy = with_stock_weights(num_steps=TEACHER_STEPS, chunk_size=6, n_action_steps=6)
    torch.manual_seed(2)
    torch.nn.init.normal_(policy.model.action_out_proj.weight, std=0.5)
    torch.nn.init.normal_(policy.model.action_time_mlp_in.weight, std=0.5)
    return policy


def path_of(policy, batch, noise, steps):
    """Where so many Euler steps lead, (B, T, max_action_dim)."""
    steps_of_config, policy.config.num_steps = policy.config.num_steps, steps
    end = policy.model.denoise(policy.encode_prefix(batch), noise)
    policy.config.num_steps = steps_of_config
    return end


@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_the_velocities_to_learn_lead_where_the_teachers_many_steps_do(
    teacher, make_batch, num_steps
):
    batch = make_batch(batch_size=1)
    many = {key: value.repeat(24, *[1] * (value.ndim - 1)) for key, value in batch.items()}
    noise = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    new, new_noise, time = few_step_batch(
        teacher, many, num_steps, TEACHER_STEPS, noise.repeat(24, 1, 1)
    )
    t, velocity = time[:, None, None], new_noise - new["action"]
    x_t = t * new_noise + (1 - t) * new["action"]
    x = noise
    for step in range(num_steps):  # the Euler steps of a policy that has learned it
        rows = torch.isclose(time, torch.tensor(1 - step / num_steps)).nonzero()[:, 0]
        assert len(rows) > 0
        assert torch.allclose(x_t[rows], x.expand(len(rows), -1, -1), atol=1e-4)
        x = x - velocity[rows[:1]] / num_steps
    each = -(-TEACHER_STEPS // num_steps)
    expected = path_of(teacher, batch, noise, each * num_steps)
    assert torch.allclose(x, expected, atol=1e-4)
    assert (path_of(teacher, batch, noise, num_steps) - expected).abs().max() > 0.01


def training_batch(make_batch):
    batch = make_batch(batch_size=6)
    return batch | {
        "action": torch.full((6, 6, 4), torch.nan),  # not looked at
        "action_is_pad": torch.zeros(6, 6, dtype=torch.bool),
    }


def student_of(teacher, tmp_path, **overrides):
    teacher.save_pretrained(tmp_path)
    policy = CLSSmolVLAPolicy.from_pretrained(tmp_path)
    policy.config.distill_from, policy.config.cls_loss_weight = str(tmp_path), 0.0
    for name, value in overrides.items():
        setattr(policy.config, name, value)
    return policy


@pytest.mark.parametrize("num_steps", [1, 2])
def test_a_policy_learns_to_do_in_few_steps_what_takes_many(
    teacher, make_batch, tmp_path, num_steps
):
    student = student_of(teacher, tmp_path, num_steps=num_steps).train()
    batch = training_batch(make_batch)
    noise = torch.randn(6, 6, 32, generator=torch.Generator().manual_seed(1))
    expected = path_of(teacher, batch, noise, TEACHER_STEPS)[..., :4]

    def deviation():
        return (path_of(student, batch, noise, num_steps)[..., :4] - expected).abs().mean().item()

    before = deviation()
    assert before > 0.05
    optimizer = torch.optim.Adam(student.get_optim_params(), lr=3e-3)
    for _ in range(40):
        student.train()
        loss, _ = student.forward(dict(batch), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert deviation() < 0.5 * before


def test_the_teacher_takes_as_many_steps_as_it_is_told(teacher, make_batch, tmp_path):
    student = student_of(teacher, tmp_path, num_steps=1, distill_steps=2).train()
    batch = training_batch(make_batch)
    noise = torch.randn(6, 6, 32, generator=torch.Generator().manual_seed(1))
    loss, _ = student.forward(dict(batch), noise, reduction="none")
    off = path_of(teacher, batch, noise, 1) - path_of(teacher, batch, noise, 2)  # still the same
    assert torch.allclose(loss, off[..., :4].square().mean((1, 2)), rtol=1e-3)


def test_the_teacher_is_no_part_of_the_policy_and_stays_what_it_was(teacher, make_batch, tmp_path):
    student = student_of(teacher, tmp_path, num_steps=2).train()
    names = set(student.state_dict())
    loss, _ = student.forward(training_batch(make_batch))
    loss.backward()
    assert loss.isfinite()
    assert set(student.state_dict()) == names
    assert not any(p.requires_grad for p in student._teacher.parameters())
    assert not student._teacher.training
    first = student._teacher
    student.train().forward(training_batch(make_batch))
    assert student._teacher is first
    student.eval()
    with pytest.raises(AssertionError):  # judged on the dataset's actions, which are nan here
        assert student.forward(training_batch(make_batch))[0].isfinite()


def test_a_teacher_of_another_kind_is_refused(teacher, make_batch, tmp_path):
    student = student_of(teacher, tmp_path, num_steps=2, chunk_size=5).train()
    with pytest.raises(ValueError, match="has chunk_size=6, this policy has 5: take a checkpoint"):
        student.forward(training_batch(make_batch))
    student = student_of(teacher, tmp_path / "steps", num_steps=10).train()
    with pytest.raises(ValueError, match=r"distill_steps=10 must be more than num_steps=10.*set"):
        student.forward(training_batch(make_batch))
    overrides = {"distill_from": str(tmp_path / "none"), "num_steps": 2}
    student = student_of(teacher, tmp_path / "again", **overrides).train()
    with pytest.raises(FileNotFoundError):
        student.forward(training_batch(make_batch))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"time_shift": 0.0}, "above 0, got 0"),
        ({"distill_from": "x", "adapt_to_pi_aloha": True}, "adapt_to_pi_aloha=false"),
        (
            {"distill_from": "x", "train_cls_only": True, "cls_attention": "readout"},
            "train_cls_only=false",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(make_config, overrides, message):
    with pytest.raises(ValueError, match=message):
        make_config(**overrides)
