"""Training the CLS head, as part of the policy's `forward` that lerobot-train calls."""

import logging

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import (
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Tensor, nn

from cls_vla_ros.policy.batch import check_head
from cls_vla_ros.policy.scene_gate import PREDICTED, SEEN
from cls_vla_ros.policy.training.cls_objective import (
    Objective,
    TooFewPairsError,
    info_nce,
    info_nce_2x2,
    vicreg,
)
from cls_vla_ros.policy.training.cls_pairs import draw_pairs, on_stale_prefixes
from cls_vla_ros.policy.training.cls_views import disturb_some, make_views
from cls_vla_ros.policy.training.dataset_checks import check_dataset
from cls_vla_ros.policy.training.few_steps import few_step_batch
from cls_vla_ros.policy.training.glance_training import glance_loss
from cls_vla_ros.policy.training.provenance import dataset_fingerprints, seen_by_all_processes
from cls_vla_ros.policy.training.trained_parts import TrainedParts, forget_calibration

logger = logging.getLogger(__name__)


class CLSTraining(SmolVLAPolicy):
    """What CLSSmolVLAPolicy is while lerobot trains it.

    The loss is SmolVLA's action loss on frame t plus `cls_loss_weight` times the objective; with
    `train_cls_only` it is the objective alone. With `stale_prefix_share` the action loss of some
    samples is that on pictures of an earlier frame, with `nuisance_share` on disturbed ones.
    """

    def _start_training(self, dataset_meta) -> None:
        """Look at what will be trained on.

        Args:
            dataset_meta: lerobot's LeRobotDatasetMetadata, where lerobot-train makes the policy;
                None elsewhere.

        Raises:
            ValueError: the objective cannot be trained on it.
        """
        self._dataset_meta = dataset_meta
        self._episodes_seen: set[int] = set()
        self._full_batch_seen = False
        self._teacher: CLSTraining | None = None
        self._trained_parts: TrainedParts | None = None
        if dataset_meta is not None:
            check_dataset(self.config, dataset_meta)

    def _teacher_on(self, device: torch.device) -> "CLSTraining":
        """The policy of `distill_from`, loaded once.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it does not take and give what this policy does, or takes no more steps.
        """
        if self._teacher is None:
            config = self.config
            if config.distill_steps <= config.num_steps:
                raise ValueError(
                    f"distill_steps={config.distill_steps} must be more than num_steps="
                    f"{config.num_steps}, which the policy learns to make of them: set "
                    "--policy.num_steps"
                )
            teacher = type(self).from_pretrained(config.distill_from)
            for name in (
                *("input_features", "output_features", "chunk_size", "max_action_dim"),
                *("max_state_dim", "resize_imgs_with_padding"),
            ):
                theirs, ours = getattr(teacher.config, name), getattr(config, name)
                if theirs != ours:
                    raise ValueError(
                        f"distill_from={config.distill_from} has {name}={theirs}, this policy has "
                        f"{ours}: take a checkpoint of the same kind of policy, such as the one "
                        "that --policy.path names"
                    )
            # Not as an attribute, which would make it a part of this policy: trained and saved.
            self.__dict__["_teacher"] = teacher.requires_grad_(False)
        return self._teacher.to(device)

    def get_optim_params(self) -> list[nn.Parameter]:
        """What is trained; lerobot's own would hand the frozen ones to the optimizer too."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> "CLSTraining":
        """As torch's; what is frozen for `train_cls_only` stays in evaluation mode."""
        super().train(mode)
        if self.config.train_cls_only:
            self.model.vlm_with_expert.eval()
        return self

    def forward(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        time: Tensor | None = None,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, float]]:
        """SmolVLA's action loss on frame t, and the CLS objective on pairs of frames.

        Args:
            batch: preprocessed, of lerobot's dataset with `observation_delta_indices`: pictures
                (B, D, 3, height, width) in [0, 1], observation.state (B, D, S), action (B, T, A),
                observation.language.*, *_is_pad, episode_index (B,).
            noise: (B, T, max_action_dim) of flow matching; drawn if None.
            time: (B,), likewise.
            reduction: "mean" for a scalar, "none" for (B,), as SmolVLA's.

        Returns:
            The loss, and what lerobot logs: SmolVLA's own numbers, and those of `Objective`.

        Raises:
            ValueError: the batch lacks something, or is too small for the objective.
        """
        config = self.config
        check_head(config, self.model)
        if self.training:
            forget_calibration(config)
        cameras = [camera for camera in config.image_features if camera in batch]
        losses, log = 0.0, {}
        stale = config.stale_prefix_share if self.training else 0.0
        if config.trains_cls or stale:
            _check(batch, cameras, len(config.observation_delta_indices))
            if config.glance_width and batch[OBS_STATE].ndim != 3:
                raise ValueError(
                    f"{OBS_STATE} is {tuple(batch[OBS_STATE].shape)}; the glance learns how the "
                    "robot moved between two frames and needs (batch, frames, values), as the "
                    "pictures: give it the same delta_timestamps, or set --policy.glance_width=0"
                )
        if not config.train_cls_only:
            current = on_stale_prefixes(batch, cameras, stale)
            if self.training:
                current = disturb_some(
                    current, cameras, self._picture_size(), config.nuisance_share
                )
                if config.distill_from:
                    teacher = self._teacher_on(batch[OBS_STATE].device)
                    current, noise, time = few_step_batch(
                        teacher, current, config.num_steps, config.distill_steps, noise
                    )
            losses, log = super().forward(current, noise, time, reduction=reduction)
        if not config.trains_cls:
            return losses, log
        is_training = self.training and torch.is_grad_enabled()
        if is_training and self._dataset_meta is not None and "episode_index" in batch:
            count = len(self._dataset_meta.episodes["length"])
            self._episodes_seen |= seen_by_all_processes(batch["episode_index"].flatten(), count)
        objective = self._objective(batch, cameras)
        if objective is None:  # the few samples that an epoch leaves over
            nothing = sum(p.sum() * 0.0 for p in self.get_optim_params())
            return losses + nothing, log
        if is_training:
            self._look_what_is_trained()
        if reduction == "none" and config.train_cls_only:
            losses = objective.loss.new_zeros(len(batch[OBS_STATE]))
        total = losses + config.cls_loss_weight * objective.loss
        log = log | objective.metrics
        log["loss"] = total.mean().item()
        return total, log

    def _objective(self, batch: dict[str, Tensor], cameras: list[str]) -> Objective | None:
        pairs = draw_pairs(batch)
        try:
            objective = self._objective_of(batch, pairs, cameras)
        except TooFewPairsError:
            if self._full_batch_seen:
                return None
            raise
        self._full_batch_seen = True
        return objective

    def _objective_of(self, batch, pairs, cameras: list[str]) -> Objective:
        config = self.config
        is_2x2 = config.cls_objective == "infonce_2x2"
        with_changes = is_2x2 or config.glance_width > 0
        views = make_views(batch, pairs, cameras, self._picture_size(), with_changes)
        cls = self._cls_outputs(views.batch if is_2x2 else views.unchanged())
        objective = self._cls_objective(cls, pairs, views.visible)
        if not config.glance_width:
            return objective
        loss, log = glance_loss(self.model.glance, views.changes)
        return Objective(objective.loss + loss, objective.metrics | log)

    def _cls_objective(self, cls: Tensor, pairs, visible: Tensor) -> Objective:
        """The objective on CLS tokens (2 M or 4 M, N, H)."""
        name = self.config.cls_objective
        before, now = cls.chunk(2)
        predicted, seen = before[:, PREDICTED], now[:, SEEN]
        if name == "vicreg":
            return vicreg(predicted, seen)
        unlike = pairs.episodes[:, None] != pairs.episodes
        log_scale = self.model.cls_log_scale
        if name == "infonce_2x2":
            return info_nce_2x2(predicted, seen, log_scale, unlike, visible)
        return info_nce(predicted, seen, log_scale, unlike, None)

    def _picture_size(self) -> tuple[int, int] | None:
        """Height and width of the policy's pictures; None where it takes them as they are."""
        resize_to = self.config.resize_imgs_with_padding
        return resize_to and (resize_to[1], resize_to[0])  # lerobot has width first

    def _cls_outputs(self, batch: dict[str, Tensor]) -> Tensor:
        images, img_masks = self.prepare_images(batch)
        return self.model.encode_prefix(
            images,
            img_masks,
            batch[OBS_LANGUAGE_TOKENS],
            batch[OBS_LANGUAGE_ATTENTION_MASK],
            self.prepare_state(batch),
        ).obs_cls_out

    def _look_what_is_trained(self) -> None:
        """Say in the configuration which parts training has changed: after it has begun."""
        if self._trained_parts is None:
            self._trained_parts = TrainedParts(self.model)
        for field in self._trained_parts.look():
            setattr(self.config, field, True)

    def _validate_peft_config(self, peft_config) -> None:
        """As lerobot's; and what peft does not train here is said.

        Raises:
            ValueError: there would be nothing to train.
        """
        super()._validate_peft_config(peft_config)
        if self.config.train_cls_only:
            raise ValueError(
                "train_cls_only trains the CLS head, and peft (--peft.*) freezes it: leave out one"
            )
        if self.config.trains_cls:
            logger.warning(
                "peft trains its adapters alone: the CLS head%s stays as it is. Train it later, "
                "on the merged policy, with --policy.train_cls_only=true",
                " and the glance" if self.config.glance_width else "",
            )

    def _record_provenance(self) -> None:
        """Put the fingerprints of the episodes that were trained on into the configuration."""
        if self._trained_parts is not None:
            self._look_what_is_trained()  # the last step's change
        if self._dataset_meta is None or not self._episodes_seen:
            return
        try:
            new = dataset_fingerprints(self._dataset_meta.root, sorted(self._episodes_seen))
        except (FileNotFoundError, ValueError) as error:
            logger.warning(
                "the checkpoint will not say which episodes it was trained on, so calibrating on "
                "them will not be refused: %s",
                error,
            )
            return
        self.config.cls_episodes_trained_on = sorted({*self.config.cls_episodes_trained_on, *new})


def _check(batch: dict[str, Tensor], cameras: list[str], num_frames: int) -> None:
    """Does a training batch have what the objective needs?"""
    needed = (OBS_STATE, OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK)
    missing = [key for key in needed if key not in batch]
    if missing or not cameras:
        raise ValueError(
            f"the batch lacks {missing or 'every camera of the policy'}; it has {sorted(batch)}. "
            "Rename the dataset's features to the policy's with --rename_map"
        )
    for camera in cameras:
        if batch[camera].ndim != 5 or batch[camera].shape[1] != num_frames:
            raise ValueError(
                f"{camera} is {tuple(batch[camera].shape)}; the CLS objective and stale prefixes "
                f"need (batch, {num_frames}, 3, height, width), the frames of "
                "observation_delta_indices. "
                "lerobot-train gives them; with a loader of your own, pass "
                "lerobot.datasets.factory.resolve_delta_timestamps(policy.config, dataset.meta) "
                "to LeRobotDataset"
            )
