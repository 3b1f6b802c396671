"""What the benchmark runs on: a policy, its processors, and observations for it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.processor import PolicyProcessorPipeline

from cls_vla_ros.inference import Observation, load_policy
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.policy.checkpoint.random_checkpoint import (
    SMOLVLM2_500M,
    TINY,
    random_config,
    write_vlm,
)
from cls_vla_ros.policy.cls_flow_matching import CLS_PARTS
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

ARCHITECTURES = {"real": SMOLVLM2_500M, "tiny": TINY}
STATE_DIM = ACTION_DIM = 6  # an arm of five joints and a gripper
TASK = "pick up the cube and put it into the box"


@dataclass
class Setting:
    """A policy to measure.

    Attributes:
        policy: ours; its weights are also the stock policy's.
        preprocessor: of both.
        postprocessor: of both.
        device: where.
        picture: height and width of the cameras' pictures.
        description: in words.
        reference: normalised actions of the stock policy, once it was run; in observation's order.
    """

    policy: CLSSmolVLAPolicy
    preprocessor: PolicyProcessorPipeline
    postprocessor: PolicyProcessorPipeline
    device: str
    picture: tuple[int, int]
    description: str
    reference: list[torch.Tensor] | None = None

    def stock(self, *, compiled: bool) -> SmolVLAPolicy:
        """Lerobot's own policy with the same weights, in float32."""
        ours = self.policy.config
        names = SmolVLAConfig.__dataclass_fields__
        values = {name: getattr(ours, name) for name in names if names[name].init}
        config = SmolVLAConfig(**(values | {"compile_model": compiled, "device": self.device}))
        policy = SmolVLAPolicy(config).to(self.device).eval()
        all_weights = self.policy.state_dict().items()
        own = tuple(f"model.{part}" for part in CLS_PARTS)
        weights = {name: w for name, w in all_weights if not name.startswith(own)}
        policy.load_state_dict(weights)
        return policy

    def observation(self, seed: int) -> Observation:
        """Pictures of shapes and noise, and a state."""
        random = np.random.default_rng(seed)
        names = picture_names(self.policy.config)
        state_dim = self.policy.config.robot_state_feature.shape[0]
        return Observation(
            {name: _picture(random, self.picture) for name in names},
            random.normal(size=state_dim).astype(np.float32),
            TASK,
            stamp_s=seed / 30,
        )

    def noise(self, seed: int) -> torch.Tensor:
        """(1, T, max_action_dim) float32 on the host."""
        config = self.policy.config
        shape = (1, config.chunk_size, config.max_action_dim)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def load_setting(
    args: argparse.Namespace, device: str, architecture: str, folder: Path
) -> Setting:
    """A checkpoint, or random weights of an architecture.

    Args:
        args: of the command line.
        device: where to.
        architecture: one of ARCHITECTURES.
        folder: for the VLM's configuration.
    """
    if args.policy is not None:
        loaded = load_policy(args.policy, device)
        loaded[0].float()
        return Setting(*loaded, device, args.picture, f"the checkpoint {args.policy}")
    write_vlm(folder, ARCHITECTURES[architecture])
    cameras = {f"observation.images.camera{i}": args.picture for i in range(args.cameras)}
    config = random_config(
        CLSSmolVLAConfig,
        folder,
        cameras,
        STATE_DIM,
        ACTION_DIM,
        ARCHITECTURES[architecture],
        cls_attention=args.layout,
        device=device,
    )
    torch.manual_seed(0)
    with torch.device(device):  # a few hundred million random numbers are slow on a CPU
        policy = CLSSmolVLAPolicy(config).to(device).eval()
    # With the usual initialisation, pictures and state hardly reach the actions, and parity would
    # be easy: make everything that is between them count.
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if parameter.ndim > 1 and "embed_tokens" not in name:
                parameter.mul_(2.0)
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    description = (
        f"random weights of the {architecture} architecture, {parameters / 1e6:.1f} M parameters, "
        f"{args.layout}, chunk {config.chunk_size}, {config.num_steps} steps"
    )
    stats = {"mean": torch.zeros(STATE_DIM), "std": torch.ones(STATE_DIM)}
    processors = make_pre_post_processors(
        config, dataset_stats={"observation.state": stats, "action": stats}
    )
    return Setting(policy, *processors, device, args.picture, description)


def _picture(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    ramp = np.linspace(0, 120, width)[None, :, None] * random.random(3)
    picture = ramp + random.normal(70, 5, (height, width, 3))
    for _ in range(8):
        y, x = random.integers(0, height), random.integers(0, width)
        picture[y : y + height // 5, x : x + width // 5] = random.integers(0, 256, 3)
    return picture.clip(0, 255).astype(np.uint8)
