"""A robot of random weights for the policy node to run."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

# What ReuseLimits.always() is within the parameters' ranges.
ALWAYS_REUSE = {"max_age_s": 3600.0, "max_reuses": 1000, "guard_threshold": 100.0}


@dataclass(frozen=True)
class RandomRobot:
    """A robot for a tiny policy with random weights: its actions mean nothing.

    Attributes:
        transports: "raw" or "compressed" of each camera; they are camera0, camera1, ...
        size: height and width of the pictures.
        joints: names of the joints; there is one action value for each.
        rate_hz: at most this many inferences per second.
        num_steps: of the denoising.
        always_reuse: whether the prefix is reused whatever is seen: the quickest inference.
    """

    transports: tuple[str, ...] = ("raw",) * 3
    size: tuple[int, int] = (480, 640)
    joints: tuple[str, ...] = tuple(f"joint{n}" for n in range(6))
    rate_hz: float = 30.0
    num_steps: int = 10
    always_reuse: bool = False

    def write(self, folder: Path) -> Path:
        """Write the checkpoint and the parameters.

        Args:
            folder: where.

        Returns:
            The parameters' file.
        """
        cameras = {f"camera{n}": transport for n, transport in enumerate(self.transports)}
        each = {"mean": torch.zeros(len(self.joints)), "std": torch.ones(len(self.joints))}
        checkpoint = make_random_checkpoint(
            folder / "checkpoint",
            {f"observation.images.{name}": self.size for name in cameras},
            {"observation.state": each, "action": each},
            num_steps=self.num_steps,
        )
        names = list(self.joints)
        parameters = {
            "policy": {"path": str(checkpoint), "device": "auto", "seed": 0},
            "task": "open the drawer",
            "rate_hz": float(self.rate_hz),
            # Without it the gate of an untrained policy stays closed, and nothing is ever reused.
            "gate": {
                "allow_untrained": True,
                **({"threshold": -1.0} if self.always_reuse else {}),
            },
            "cache": ALWAYS_REUSE if self.always_reuse else {"max_reuses": 4},
            "cameras": list(cameras),
            "camera": {
                name: {"topic": f"{name}/image", "transport": transport}
                for name, transport in cameras.items()
            },
            "state": {"joints": names, "units": ["rad"] * len(names)},
            "action": {"kind": "joint_positions", "names": names, "units": ["rad"] * len(names)},
            "limits": {"first_step": 0.0},  # random actions are nowhere near the joints
        }
        file = folder / "robot.yaml"
        file.write_text(json.dumps({"/**": {"ros__parameters": parameters}}, indent=1))
        return file
