"""What makes few denoising steps good: more noise in training, and learning from many steps."""

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import ACTION, OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from torch import Tensor


def shifted(time: Tensor, shift: float) -> Tensor:
    """Times of flow matching nearer to 1, which is noise: a t / (1 + (a - 1) t), with a = `shift`.

    One step looks at the policy at t = 1 alone, two steps at 1 and 0.5. The formula: Esser et al.,
    "Scaling rectified flow transformers for high-resolution image synthesis" (ICML 2024), equation
    23. That it makes one step good where actions are learned: Chen et al., "Let it be simple:
    one-step action generation for vision-language-action models" (arXiv 2606.05737), whose
    published policies have a = 3 and a = 4. Applied to what lerobot draws, which for SmolVLA is
    Beta(1.5, 1).

    Args:
        time: in [0, 1].
        shift: 1 leaves them as they are; above 1, more noise.
    """
    return shift * time / (1 + (shift - 1) * time)


@torch.no_grad()
def few_step_batch(
    teacher: SmolVLAPolicy,
    batch: dict[str, Tensor],
    num_steps: int,
    teacher_steps: int,
    noise: Tensor | None = None,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """A batch on which flow matching learns to make `num_steps` steps of a teacher's many.

    The teacher integrates its flow from the noise to actions in `teacher_steps` steps.
    Of the `num_steps` equal parts of that path x each sample gets one, from t to t - 1/num_steps,
    and is to learn at (x_t, t) the velocity that leads along it in one step:

        u = (x_t - x_(t - 1/num_steps)) num_steps.

    So num_steps Euler steps of the policy end where the teacher's many do, and nothing has to tell
    it how long a step is: it is always as long. What flow matching calls noise n and actions a is
    chosen so that t n + (1 - t) a = x_t and n - a = u, and so its loss is the one wanted. (Step
    distillation as in Salimans, Ho, "Progressive distillation for fast sampling of diffusion
    models", ICLR 2022, from many steps to few at once.)

    Args:
        teacher: a policy with the same features and chunk.
        batch: as SmolVLA's forward takes it; what its actions are is not looked at.
        num_steps: of the policy that learns.
        teacher_steps: rounded up to a multiple of that.
        noise: (B, T, max_action_dim); drawn if None.

    Returns:
        The batch with other actions, (B, T, max_action_dim), the noise for it, and the times (B,).
    """
    model = teacher.model
    images, img_masks = teacher.prepare_images(batch)
    tokens, masks = batch[OBS_LANGUAGE_TOKENS], batch[OBS_LANGUAGE_ATTENTION_MASK]
    prefix = model.encode_prefix(images, img_masks, tokens, masks, teacher.prepare_state(batch))
    cache = prefix.before(prefix.pad_masks.shape[1])
    size, device = len(tokens), tokens.device
    if noise is None:
        shape = (size, teacher.config.chunk_size, teacher.config.max_action_dim)
        noise = model.sample_noise(shape, device)
    each = -(-teacher_steps // num_steps)  # of the teacher's steps make one of ours
    x, path = noise, [noise]
    for step in range(each * num_steps):
        time = torch.full((size,), 1 - step / (each * num_steps), device=device)
        x = x - model.denoise_step(prefix.pad_masks, cache, x, time) / (each * num_steps)
        if (step + 1) % each == 0:
            path.append(x)
    path = torch.stack(path)  # (num_steps + 1, B, T, max_action_dim)
    part = torch.randint(num_steps, (size,), device=device)
    rows = torch.arange(size, device=device)
    x_t, velocity = path[part, rows], (path[part, rows] - path[part + 1, rows]) * num_steps
    time = 1 - part / num_steps
    t = time[:, None, None]
    return batch | {ACTION: x_t - t * velocity}, x_t + (1 - t) * velocity, time
