"""The engine's part of an inference, of several sessions at once."""

from collections.abc import Callable, Hashable, Iterable

import torch
from torch import Tensor

from cls_vla_ros.engine import Engine
from cls_vla_ros.inference.job import Job, discard_used_prefixes


def run_jobs(engine: Engine, jobs: list[Job], noise: Tensor) -> None:
    """Prefix or state refresh of each, then the denoising: what can be is done together.

    Args:
        engine: of the policy.
        jobs: begun; each gets its prefix, its actions and the times of all.
        noise: (B, T, max_action_dim) float32, standard normal, in the order of the jobs.
    """
    with discard_used_prefixes(jobs):
        full = [job for job in jobs if job.entry is None]
        for group in _alike(full, lambda job: tuple(p.shape for p in job.sample.pictures)):
            prefixes = engine.encode_prefix([job.sample for job in group])
            for job, prefix in zip(group, prefixes, strict=True):
                job.prefix = prefix
        reusing = [job for job in jobs if job.entry is not None]
        for group in _alike(reusing, lambda job: job.entry.prefix.pictures):
            prefixes = engine.refresh_state(
                [job.entry.prefix for job in group], [job.sample.state for job in group]
            )
            for job, prefix in zip(group, prefixes, strict=True):
                job.prefix = prefix
        took_ms: dict[str, float] = {}
        of_job = dict(zip(map(id, jobs), noise.split(1), strict=True))
        for group in _alike(jobs, lambda job: job.prefix.pictures):
            actions = engine.denoise(
                [job.prefix for job in group],
                torch.cat([of_job[id(job)] for job in group]),
                guides=[job.guide for job in group],
            )
            for job, chunk in zip(group, actions.split(1), strict=True):
                job.actions = chunk
            for step, took in engine.took_ms.items():
                took_ms[step] = took_ms.get(step, 0.0) + took
        for job in jobs:
            job.took_ms = took_ms


def _alike(jobs: Iterable[Job], what: Callable[[Job], Hashable]) -> list[list[Job]]:
    """Those that the engine can run at once."""
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(what(job), []).append(job)
    return list(groups.values())
