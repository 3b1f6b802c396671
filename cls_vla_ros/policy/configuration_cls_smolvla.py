"""Configuration of the policy type `cls_smolvla`: SmolVLA's, and the CLS head's."""

import math
from dataclasses import dataclass, field, fields

from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from cls_vla_ros.policy.scene_gate import THRESHOLD_PRESETS, parse_rows, parse_threshold

CLS_ATTENTION = ("bidirectional", "readout")


@PreTrainedConfig.register_subclass("cls_smolvla")
@dataclass
class CLSSmolVLAConfig(SmolVLAConfig):
    """SmolVLA with `num_cls_prefix` learnable CLS tokens at the start of the prefix.

    Attributes:
        use_cls_head: whether the policy has CLS tokens. Without them it is stock SmolVLA, and
            there is no gate.
        num_cls_prefix: how many; token 0 is what is seen now, token 1 predicts the next full
            inference's token 0.
        cls_similarity_threshold: the scene is as predicted while the cosine is above it; in [-1,
            1].
        cls_attention: "bidirectional": CLS tokens share the attention block of images and
            language, and the actions depend on them. "readout": CLS tokens see images and
            language, nothing sees them, and the actions are exactly what they were without them,
            so any fine-tuned SmolVLA can be given a gate.
        cls_head_trained: whether the CLS tokens were trained with a CLS objective. Without that
            the similarity is noise; the node says so, and does not rest a decision on it.
        cls_thresholds: rows [interval_s, threshold], sorted by interval: the threshold for the
            time since the previous full inference, in seconds, as `calibrate` found them. Empty:
            cls_similarity_threshold for all.
        cls_max_age_s: how old a reused prefix may be, in seconds, likewise; None: the runtime's
            default.
        cls_max_reuses: how often in a row one may be reused, likewise.
        cls_episodes_trained_on: `provenance.fingerprint` of each, so that nobody calibrates or
            judges on them unawares.
    """

    use_cls_head: bool = True
    num_cls_prefix: int = 2
    cls_similarity_threshold: float = THRESHOLD_PRESETS["balanced"]
    cls_attention: str = "bidirectional"
    cls_head_trained: bool = False
    cls_thresholds: list[list[float]] = field(default_factory=list)
    cls_max_age_s: float | None = None
    cls_max_reuses: int | None = None
    cls_episodes_trained_on: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use_cls_head and self.num_cls_prefix < 2:
            raise ValueError(
                "num_cls_prefix must be at least 2 while use_cls_head is true, because the gate "
                "compares two "
                "tokens: token 0 (what is seen now) with token 1 of the previous inference (what "
                "it predicted); "
                f"got {self.num_cls_prefix}. Set num_cls_prefix=2, or use_cls_head=false for a "
                "policy without gate"
            )
        if self.cls_attention not in CLS_ATTENTION:
            raise ValueError(
                f"cls_attention must be one of {CLS_ATTENTION}, got {self.cls_attention!r}"
            )
        try:
            self.cls_similarity_threshold = parse_threshold(self.cls_similarity_threshold)
        except ValueError as error:
            raise ValueError(f"cls_similarity_threshold: {error}") from error
        try:
            parse_rows(self.cls_thresholds)
        except ValueError as error:
            raise ValueError(f"cls_thresholds: {error}") from error
        for name in ("cls_max_age_s", "cls_max_reuses"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0, or null; got {value}")

    @classmethod
    def from_stock(cls, stock: SmolVLAConfig) -> "CLSSmolVLAConfig":
        """For a stock SmolVLA checkpoint: a CLS head that leaves the actions as they were."""
        values = {field.name: getattr(stock, field.name) for field in fields(stock) if field.init}
        return cls(**values, cls_attention="readout")
