"""Configuration of the policy type `cls_smolvla`: SmolVLA's, and the CLS head's."""

import math
from dataclasses import dataclass, field, fields

from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS, parse_rows, parse_threshold
from cls_vla_ros.policy.training.cls_objective import OBJECTIVES
from cls_vla_ros.policy.training.cls_pairs import frame_deltas

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
            the similarity is noise; the node says so, and does not rest a decision on it. Training
            sets it.
        cls_adapter_width: how much the CLS tokens read of each place of a picture, beside what
            they attend to; see cls_adapter.py. 0 for CLS tokens alone, as in the guide.
        cls_objective: what trains them: "infonce_2x2", "infonce" or "vicreg"; see
            cls_objective.py.
        cls_loss_weight: of the objective beside the action loss; 0 to train without it.
        cls_pair_steps: token 1 at a frame learns to predict token 0 of a frame up to this many
            frames of the dataset later: the longest interval between two full inferences, in
            frames.
        stale_prefix_share: share of the training samples, in [0, 1], whose pictures are of a frame
            up to cls_pair_steps earlier than state and actions, as on a reused prefix, so that
            the policy learns to act on one.
        train_cls_only: train the CLS head and nothing else, on a policy that is trained already;
            its other weights and its normalisation stay what they were, and are saved byte for
            byte. Needs cls_attention="readout".
        cls_thresholds: rows [interval_s, threshold_moving, threshold_calm, motion], sorted by
            interval: the thresholds for the time since the previous full inference, in seconds,
            where the robot moved by `motion` or more meanwhile, and where it did not, as
            `calibrate` found them. Rows [interval_s, threshold] have one for both. Empty:
            cls_similarity_threshold for all.
        cls_max_age_s: how old a reused prefix may be, in seconds, likewise; None: the runtime's
            default.
        cls_max_reuses: how often in a row one may be reused, likewise.
        cls_max_motion: how far the robot may have moved since a reused prefix was computed: the
            norm of the change of observation.state, each value in standard deviations of the
            dataset. Likewise; None: as far as it likes.
        cls_min_spread: how little the similarity varies where the gate still sees: the smallest
            standard deviation of 20 consecutive evaluations that `calibrate` saw. A gate that
            varies by less than half of it is blind; None: not looked at.
        cls_episodes_trained_on: `provenance.fingerprint` of each episode that the CLS head was
            trained on, so that nobody calibrates or judges on them unawares. Training sets it.
        cls_episodes_calibrated_on: likewise those that `calibrate` saw, so that nobody judges on
            them.
        glance_width: channels of the network that compares every frame with the cached prefix's,
            see glance.py; 0 for none. It is trained beside the CLS head, on the same pairs.
        glance_trained: whether it was. Training sets it; an untrained one is not asked.
        glance_threshold: its score, in [0, 1], above which the scene has changed, as `calibrate`
            found it; None: 0.5.
        nuisance_share: share of the training samples, in [0, 1], on whose pictures actions are
            learned as other cameras and other light would have made them (`nuisances/`), so that
            the policy acts the same then. The CLS objective's pictures are all disturbed, whatever
            it is.
        time_shift: above 1, training sees more noise, which makes few denoising steps better; see
            few_steps.shifted. 1: as SmolVLA.
        distill_from: a checkpoint, directory or hub id, whose flow the policy learns to follow in
            `num_steps` steps, instead of from the dataset's actions; see
            few_steps.few_step_batch. Give it and --policy.num_steps beside --policy.path, the
            same checkpoint, for a short training at the end. None: not.
        distill_steps: how many steps that one takes on the way.
    """

    use_cls_head: bool = True
    num_cls_prefix: int = 2
    cls_similarity_threshold: float = THRESHOLD_PRESETS["balanced"]
    cls_attention: str = "bidirectional"
    cls_head_trained: bool = False
    cls_thresholds: list[list[float]] = field(default_factory=list)
    cls_max_age_s: float | None = None
    cls_max_reuses: int | None = None
    cls_max_motion: float | None = None
    cls_min_spread: float | None = None
    cls_adapter_width: int = 0
    cls_objective: str = "infonce_2x2"
    cls_loss_weight: float = 1.0
    cls_pair_steps: int = 8
    stale_prefix_share: float = 0.0
    train_cls_only: bool = False
    cls_episodes_trained_on: list[str] = field(default_factory=list)
    cls_episodes_calibrated_on: list[str] = field(default_factory=list)
    glance_width: int = 0
    glance_trained: bool = False
    glance_threshold: float | None = None

    # How actions are learned.
    nuisance_share: float = 0.0
    time_shift: float = 1.0
    distill_from: str | None = None
    distill_steps: int = 10

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
        for name in ("cls_max_age_s", "cls_max_reuses", "cls_max_motion", "cls_min_spread"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0, or null; got {value}")
        if self.glance_width < 0:
            raise ValueError(f"glance_width must be 0 or more channels, got {self.glance_width}")
        if self.glance_threshold is not None and not 0 <= self.glance_threshold <= 1:
            raise ValueError(
                f"glance_threshold must be in [0, 1], or null; got {self.glance_threshold}"
            )
        self._check_training()

    def _check_training(self) -> None:
        if self.cls_objective not in OBJECTIVES:
            raise ValueError(
                f"cls_objective must be one of {OBJECTIVES}, got {self.cls_objective!r}"
            )
        if not 0 <= self.cls_loss_weight < math.inf:
            raise ValueError(f"cls_loss_weight must be 0 or more, got {self.cls_loss_weight}")
        for name in ("stale_prefix_share", "nuisance_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} is a share of the samples, in [0, 1], got {getattr(self, name)}"
                )
        if not 0 < self.time_shift < math.inf:
            raise ValueError(f"time_shift must be above 0, got {self.time_shift}")
        if self.distill_from and (self.train_cls_only or self.adapt_to_pi_aloha):
            raise ValueError(
                "distill_from trains the actions, so it needs train_cls_only=false; and "
                "adapt_to_pi_aloha=false, because it does not convert them"
            )
        if self.cls_pair_steps < 1:
            raise ValueError(
                "cls_pair_steps is a number of frames, at least 1, between the two frames of a "
                f"pair; got {self.cls_pair_steps}"
            )
        if self.train_cls_only and not self.trains_cls:
            raise ValueError(
                "train_cls_only trains the CLS head alone, so it needs use_cls_head=true and a "
                "cls_loss_weight above 0"
            )
        if self.train_cls_only and self.cls_attention != "readout":
            raise ValueError(
                'train_cls_only needs cls_attention="readout": in the layout '
                f"{self.cls_attention!r} the actions depend on the CLS tokens, so training those "
                "would change them. A stock checkpoint gets the layout from "
                "`add_cls_head STOCK OUT`"
            )

    @property
    def trains_cls(self) -> bool:
        """Whether training has the CLS objective in it."""
        return self.use_cls_head and self.cls_loss_weight > 0

    @property
    def observation_delta_indices(self) -> list[int]:
        """Frames of an observation in training: earlier ones for pairs, then its own."""
        if not self.trains_cls and not self.stale_prefix_share:
            return super().observation_delta_indices
        return frame_deltas(self.cls_pair_steps)

    @property
    def action_delta_indices(self) -> list[int] | None:
        """Steps of the chunk; None where no action is learned.

        For each step of a chunk lerobot reads the pictures of that frame too.
        """
        return None if self.train_cls_only else super().action_delta_indices

    @classmethod
    def from_stock(cls, stock: SmolVLAConfig) -> "CLSSmolVLAConfig":
        """For a stock SmolVLA checkpoint: a CLS head that leaves the actions as they were."""
        values = {field.name: getattr(stock, field.name) for field in fields(stock) if field.init}
        return cls(**values, cls_attention="readout")
