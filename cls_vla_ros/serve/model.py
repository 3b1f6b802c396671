"""From a server's settings to a policy that is warm."""

import os

import torch

from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen, read_seen
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.serve.settings import ServeSettings


def load(settings: ServeSettings) -> tuple[PolicyServer, dict[str, Seen]]:
    """Load the policy, and warm it up.

    Args:
        settings: of the server.

    Returns:
        The policy, and the ranges in its data by feature.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it cannot be used.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    folder = locate(resolve_policy_path(settings.policy))
    loaded = load_policy(folder, settings.device)
    loaded[0].config.num_steps = settings.num_steps or loaded[0].config.num_steps
    server = PolicyServer(*loaded, engine=settings.engine, dtype=settings.dtype)
    server.warm_up(print)
    return server, read_seen(folder)
