"""Whatever a SmolVLA's configuration says, the runtime acts as lerobot does.

Some at random here; by the hundred:

    make test ARGS='test/inference/test_any_configuration.py -m ""'
"""

from dataclasses import fields

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, reject, settings
from lerobot.configs import NormalizationMode
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.utils import prepare_observation_for_inference

from cls_vla_ros.inference import Observation, PolicyServer, load_policy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config

TASK = "put the cube into the upper drawer"
CAMERAS = {f"observation.images.camera{n}": (40 + 8 * n, 64) for n in (1, 2, 3)}
ALOHA_DIM = 14
# Of training, of the hub, or of a device that is not here: no inference asks for them.
NOT_OF_INFERENCE = {
    *("optimizer_lr", "optimizer_betas", "optimizer_eps", "optimizer_weight_decay"),
    *("optimizer_grad_clip_norm", "scheduler_warmup_steps", "scheduler_decay_steps"),
    *("scheduler_decay_lr", "push_to_hub", "repo_id", "private", "tags", "license"),
    *("pretrained_path", "pretrained_revision", "use_peft", "use_amp", "device"),
    *("vlm_model_name", "load_vlm_weights"),  # test_load_policy.py
    *("compile_model", "compile_mode"),  # no field of the engine's; minutes for each
    "use_delta_joint_actions_aloha",  # lerobot refuses it
}


@st.composite
def configurations(draw) -> dict:
    """Each field that an inference may depend on, with what is given to the policy."""
    aloha = draw(st.booleans())
    state, action = (ALOHA_DIM,) * 2 if aloha else (draw(st.integers(1, 9)) for _ in range(2))
    chunk_size = draw(st.integers(1, 9))
    vlm_layers = draw(st.sampled_from([-1, 1, 2, 3, 4]))
    divisors = [n for n in (1, 2, 4) if (vlm_layers if vlm_layers > 0 else 4) % n == 0]
    modes = st.sampled_from(list(NormalizationMode))
    cameras = draw(st.integers(1, 3))
    names = list(CAMERAS)[:cameras]
    return {
        "input_features": draw(st.just(names)),
        "output_features": None,
        "given": draw(st.lists(st.sampled_from(names), min_size=1, unique=True)),
        "sizes": (state, action),
        "n_obs_steps": draw(st.sampled_from([1, 2])),
        "chunk_size": chunk_size,
        "n_action_steps": draw(st.integers(1, chunk_size)),
        "normalization_mapping": {
            "VISUAL": draw(st.sampled_from(["IDENTITY", "MEAN_STD"])),
            "STATE": draw(modes).value,
            "ACTION": draw(modes).value,
        },
        "max_state_dim": state + draw(st.integers(0, 20)),
        "max_action_dim": action + draw(st.integers(0, 20)),
        "resize_imgs_with_padding": draw(st.sampled_from([(64, 64), (32, 32)])),
        "empty_cameras": draw(st.integers(0, 2)),
        "adapt_to_pi_aloha": aloha,
        "tokenizer_max_length": draw(st.integers(4, 60)),
        "num_steps": draw(st.integers(1, 4)),
        "use_cache": True,  # lerobot 0.6.1 fails without
        "freeze_vision_encoder": draw(st.booleans()),
        "train_expert_only": draw(st.booleans()),
        "train_state_proj": draw(st.booleans()),
        "add_image_special_tokens": draw(st.booleans()),
        "attention_mode": draw(st.sampled_from(["cross_attn", "self_attn"])),
        "prefix_length": draw(st.sampled_from([-1, 0, 30, 150])),
        "pad_language_to": draw(st.sampled_from(["longest", "max_length"])),
        "num_expert_layers": draw(st.sampled_from([-1, 0, *divisors])),
        "num_vlm_layers": vlm_layers,
        "self_attn_every_n_layers": draw(st.sampled_from([-1, 0, 1, 2, 3])),
        "expert_width_multiplier": draw(st.sampled_from([0.5, 0.75, 1.0])),
        "min_period": draw(st.floats(1e-3, 1e-2)),
        "max_period": draw(st.floats(1.0, 9.0)),
        "rtc_config": draw(st.sampled_from([None, RTCConfig(), RTCConfig(enabled=False)])),
    }


def statistics(state: int, action: int, seed: int) -> dict:
    """All that any mode asks for."""
    random = torch.Generator().manual_seed(seed)

    def of(*shape: int) -> dict:
        low = torch.rand(shape, generator=random) - 1
        high = low + 0.5 + torch.rand(shape, generator=random)
        middle = (low + high) / 2
        spread = (high - low) / 4
        return {
            **{"mean": middle, "std": spread, "min": low, "max": high},
            **{"q01": low + 0.01, "q99": high - 0.01, "q10": low + 0.1, "q90": high - 0.1},
        }

    pictures = {name: of(3, 1, 1) for name in CAMERAS}
    return {"observation.state": of(state), "action": of(action), **pictures}


def compare(directory, vlm, drawn: dict) -> None:
    drawn = dict(drawn)
    state, action = drawn.pop("sizes")
    given, names = drawn.pop("given"), drawn.pop("input_features")
    del drawn["output_features"]
    drawn["normalization_mapping"] = {
        kind: NormalizationMode(mode) for kind, mode in drawn["normalization_mapping"].items()
    }
    cameras = {name: CAMERAS[name] for name in names}
    config = random_config(SmolVLAConfig, vlm, cameras, state, action, **drawn)
    torch.manual_seed(0)
    stock = SmolVLAPolicy(config).eval()
    for name, parameter in stock.named_parameters():
        if parameter.ndim > 1 and "embed" not in name:
            # So large that pictures, instruction and state reach the actions.
            parameter.data.mul_(2.0)
    stock.save_pretrained(directory)
    processors = make_pre_post_processors(config, dataset_stats=statistics(state, action, 1))
    for processor in processors:
        processor.save_pretrained(directory)
    random = np.random.default_rng(0)
    images = {
        name: random.integers(0, 256, (*cameras.get(name, (48, 64)), 3), dtype=np.uint8)
        for name in given
    }
    values = random.uniform(0.02, 0.05, state).astype(np.float32)  # Aloha's gripper is in metres
    before, after = processors
    batch = before(
        prepare_observation_for_inference(
            {**images, "observation.state": values.copy()}, torch.device("cpu"), TASK
        )
    )
    shape = (1, config.chunk_size, config.max_action_dim)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    try:
        expected = after(stock.predict_action_chunk(batch, noise=noise))[0].double().numpy()
    except (ValueError, RuntimeError):  # such as an expert without layers that attend to itself
        reject()
    server = PolicyServer(*load_policy(directory, "cpu"), seed=0, dtype="float32")
    ours = server.infer(Observation(images, values, TASK, stamp_s=0.0)).actions
    np.testing.assert_allclose(ours, expected, atol=2e-4, rtol=1e-4)


PLAIN = {
    "input_features": list(CAMERAS),
    "output_features": None,
    "given": ["observation.images.camera3", "observation.images.camera1"],
    "sizes": (6, 6),
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}


# A camera may be mapped to an empty one: then it is none.
FED_EMPTY = [*CAMERAS, "observation.images.empty_camera_0"]


def random_examples(count: int, **more):
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )


@random_examples(6, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(drawn=configurations())
@example(drawn=PLAIN)
@example(drawn=PLAIN | {"empty_cameras": 1, "add_image_special_tokens": True})
@example(drawn=PLAIN | {"empty_cameras": 2, "add_image_special_tokens": True, "given": [*CAMERAS]})
@example(drawn=PLAIN | {"empty_cameras": 1, "add_image_special_tokens": True, "given": FED_EMPTY})
def test_any_configuration_acts_as_in_lerobot(drawn, vlm, tmp_path_factory):
    compare(tmp_path_factory.mktemp("any"), vlm, drawn)


@pytest.mark.slow
@random_examples(300)
@given(drawn=configurations())
def test_hundreds_of_configurations_act_as_in_lerobot(drawn, vlm, tmp_path_factory):
    compare(tmp_path_factory.mktemp("any"), vlm, drawn)


@given(drawn=configurations())
@random_examples(1)
def test_no_field_is_forgotten(drawn):
    known = {field.name for field in fields(SmolVLAConfig) if field.init}
    assert known == (drawn.keys() - {"given", "sizes"}) | NOT_OF_INFERENCE
