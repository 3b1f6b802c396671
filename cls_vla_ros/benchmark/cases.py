"""The cases of the benchmark: stock lerobot and our engines, behind one interface."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.utils.constants import OBS_STATE
from torch import Tensor

from cls_vla_ros.benchmark.device import (
    allocated_mb,
    count_launches,
    free,
    peak_mb,
    profiled,
    reset_peak,
)
from cls_vla_ros.benchmark.policy import Setting
from cls_vla_ros.inference import Observation, PolicyServer, Reason, ReuseLimits
from cls_vla_ros.inference.observation import picture_names

WARM_UP = 5  # inferences that are not timed
DISTINCT = 8  # observations, so that no cache sees the same one again and again


@dataclass(frozen=True)
class Figures:
    """Times of one case and path.

    Attributes:
        case: which.
        path: "full" or "reuse".
        inferences: how many were timed.
        median_ms, p95_ms, p99_ms, max_ms: of an inference, in milliseconds.
        ratio: of the reference's median to this one's.
        ready_s: until the first inference, in seconds: compiling and capturing.
        launches: kernels of one inference; NaN if it could not be counted.
        memory_mb: allocated on the device at most, in megabytes; NaN on a CPU.
        growth_mb: of that from the first timed inference to the last.
        parts_ms: median times of prefix, refresh and denoising, where the case knows them.
    """

    case: str
    path: str
    inferences: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    ratio: float
    ready_s: float
    launches: float
    memory_mb: float
    growth_mb: float
    parts_ms: dict[str, float]


@dataclass(frozen=True)
class Parity:
    """Normalised actions of a case against others with the same noise.

    Attributes:
        case: which, and on which path.
        against: the others.
        cosine: the smallest over the observations.
        max_error: the largest over the observations.
        largest: the largest of the others' absolute values, to compare the error with.
    """

    case: str
    against: str
    cosine: float
    max_error: float
    largest: float


class Stock:
    """lerobot's SmolVLA as it comes, in float32."""

    paths = ("full",)

    def __init__(self, setting: Setting, *, compiled: bool) -> None:
        self.name = f"stock {'compiled' if compiled else 'eager'} float32"
        self.setting, self._compiled = setting, compiled
        self.ready_s = 0.0

    def prepare(self, say: Callable[[str], None]) -> None:
        """Load and, if it shall be, compile."""
        started = time.perf_counter()
        self._policy = self.setting.stock(compiled=self._compiled)
        say("the first inference")
        self.infer(self.setting.observation(0), "full")
        self.ready_s = time.perf_counter() - started

    def infer(self, observation: Observation, path: str) -> np.ndarray:
        """As lerobot's own inference loop does it; (T, A)."""
        noise = self.setting.noise(0).to(self.setting.device)
        normalised = self._policy.predict_action_chunk(self._batch(observation), noise=noise)
        return self.setting.postprocessor(normalised)[0].cpu().numpy()

    def normalised(self, observation: Observation, noise: Tensor) -> Tensor:
        """(1, T, A) on the host."""
        noise = noise.to(self.setting.device)
        return self._policy.predict_action_chunk(self._batch(observation), noise=noise).cpu()

    def parts_ms(self) -> dict[str, float]:
        """It does not say."""
        return {}

    def parity(self) -> list[Parity]:
        """The eager one is what the others are compared with."""
        observations = [self.setting.observation(seed) for seed in range(DISTINCT)]
        made = [self.normalised(o, self.setting.noise(i)) for i, o in enumerate(observations)]
        if not self._compiled:
            self.setting.reference = made
            return []
        return [compare(self.name, "stock eager", made, self.setting.reference)]

    def profile(self) -> str:
        """The kernels that take the time."""
        return profiled(lambda: self.infer(self.setting.observation(0), "full"), self.name)

    def close(self) -> None:
        """Give the memory back."""
        self._policy = None
        free()

    def _batch(self, observation: Observation) -> dict[str, Tensor]:
        arrays = {OBS_STATE: observation.state.copy(), **observation.images}
        device = torch.device(self.setting.device)
        batch = prepare_observation_for_inference(arrays, device, observation.task)
        return self.setting.preprocessor(batch)


class Ours:
    """PolicyServer with one of our engines."""

    paths = ("full", "reuse")

    def __init__(self, setting: Setting, engine: str, dtype: str, kernels: str) -> None:
        self.name = f"ours {engine} {dtype} {kernels}"
        self.setting, self._engine, self._dtype = setting, engine, dtype
        self._kernels = kernels
        self.ready_s = 0.0
        self._parts: list[dict[str, float]] = []

    def prepare(self, say: Callable[[str], None]) -> None:
        """Make the engine and warm it up, as the node does when it is configured."""
        started = time.perf_counter()
        setting = self.setting
        self._server = PolicyServer(
            setting.policy,
            setting.preprocessor,
            setting.postprocessor,
            engine=self._engine,
            dtype=self._dtype,
            kernels=self._kernels,
            seed=0,
        )
        self._server.warm_up(say)
        self.ready_s = time.perf_counter() - started
        self._server.session().threshold = -1.0

    def infer(self, observation: Observation, path: str) -> np.ndarray:
        """(T, A); the first reuse of a run is a full one, and not timed."""
        always = ReuseLimits.always(picture_names(self._server.config))
        never = replace(always, max_reuses=0)  # the frame guard is out of both
        self._server.session().limits = always if path == "reuse" else never
        inference = self._server.infer(observation)
        self._parts.append(dict(self._server.engine.took_ms))
        assert (inference.reason is Reason.REUSED) == (path == "reuse") or len(self._parts) <= 2
        return inference.actions

    def parts_ms(self) -> dict[str, float]:
        """Since it was last asked: medians on the device."""
        parts, self._parts = self._parts[WARM_UP:], []
        return {name: float(np.median([p[name] for p in parts])) for name in parts[0]}

    def parity(self) -> list[Parity]:
        """Full and reuse, against stock and against each other."""
        full, reused = [], []
        setting, engine = self.setting, self._server.engine
        for seed in range(DISTINCT):
            noise, now = setting.noise(seed), setting.observation(seed)
            sample = self._server.preprocess(now)
            full.append(engine.denoise(engine.encode_prefix([sample]), noise))
            before = replace(now, state=setting.observation(seed + 100).state)
            old = engine.encode_prefix([self._server.preprocess(before)])
            reused.append(engine.denoise(engine.refresh_state(old, [sample.state]), noise))
        rows = [compare(f"{self.name}, reuse", "own full", reused, full)]
        if setting.policy.config.cls_attention == "readout":  # else the actions are others
            rows += [
                compare(f"{self.name}, full", "stock eager", full, setting.reference),
                compare(f"{self.name}, reuse", "stock eager", reused, setting.reference),
            ]
        return rows

    def profile(self) -> str:
        """The kernels that take the time, of a full inference and of a reuse."""
        observation = self.setting.observation(0)
        self.infer(observation, "full")
        texts = [
            profiled(lambda p=path: self.infer(observation, p), f"{self.name}, {path}")
            for path in self.paths
        ]
        return "\n".join(texts)

    def close(self) -> None:
        """Give the memory back."""
        self._server.close()
        free()


def measure(
    case: Stock | Ours,
    count: int,
    say: Callable[[str, int, int], None],
    reference: Figures | None,
) -> list[Figures]:
    """Time a case's paths.

    Args:
        case: prepared.
        count: inferences of each path.
        say: gets what is going on, and how far it is.
        reference: what the ratios are to; None for the case itself.
    """
    observations = [case.setting.observation(seed) for seed in range(DISTINCT)]
    rows = []
    for path in case.paths:
        reset_peak()
        for index in range(WARM_UP):
            case.infer(observations[index % DISTINCT], path)
        times, before = [], allocated_mb()
        for index in range(count):
            started = time.perf_counter()
            case.infer(observations[index % DISTINCT], path)
            times.append((time.perf_counter() - started) * 1e3)
            if index % 10 == 0:
                say(path, index, count)
        say(path, count, count)
        median = float(np.median(times))
        rows.append(
            Figures(
                case=case.name,
                path=path,
                inferences=count,
                median_ms=median,
                p95_ms=float(np.percentile(times, 95)),
                p99_ms=float(np.percentile(times, 99)),
                max_ms=max(times),
                ratio=(reference.median_ms if reference else rows[0].median_ms if rows else median)
                / median,
                ready_s=case.ready_s,
                launches=count_launches(lambda p=path: case.infer(observations[0], p)),
                memory_mb=peak_mb(),
                growth_mb=allocated_mb() - before,
                parts_ms=case.parts_ms(),
            )
        )
    return rows


def compare(case: str, against: str, ours: list[Tensor], theirs: list[Tensor]) -> Parity:
    """Actions of the same observations and noise."""
    pairs = list(zip(ours, theirs, strict=True))
    return Parity(
        case,
        against,
        min(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).item() for a, b in pairs),
        max((a - b).abs().max().item() for a, b in pairs),
        max(b.abs().max().item() for b in theirs),
    )
