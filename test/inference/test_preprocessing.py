"""Pictures that go past lerobot's pipeline are what they would be had they gone through it."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from lerobot.configs import FeatureType, NormalizationMode
from lerobot.processor import NormalizerProcessorStep, RenameObservationsProcessorStep

from cls_vla_ros.engine import make_engine
from cls_vla_ros.inference import load_policy
from cls_vla_ros.inference.preprocessing import Preprocessor


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return load_policy(checkpoint, "cpu")


@pytest.fixture
def pipeline(loaded):
    return deepcopy(loaded[1])


def step_of(pipeline, kind):
    (step,) = (step for step in pipeline.steps if isinstance(step, kind))
    return step


def test_smolvlas_pipeline_passes_pictures_by(loaded, pipeline, make_observation):
    policy = loaded[0]
    past, through = (Preprocessor(pipeline, policy.config) for _ in range(2))
    assert past.passes_pictures_by
    through.passes_pictures_by = False
    one, two = past(make_observation()), through(make_observation())
    assert one.pictures[0].dtype == torch.uint8
    assert two.pictures[0].is_floating_point()
    for name in ("tokens", "mask", "state"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=0, atol=0)
    engine = make_engine(policy)
    noise = torch.zeros(1, policy.config.chunk_size, policy.config.max_action_dim)
    actions = [engine.denoise(engine.encode_prefix([sample]), noise) for sample in (one, two)]
    torch.testing.assert_close(*actions)


def test_the_state_is_normalised_and_the_observation_is_left_alone(
    loaded, pipeline, make_observation
):
    observation = make_observation()
    kept = observation.state.copy()
    sample = Preprocessor(pipeline, loaded[0].config)(observation)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 0.5])
    torch.testing.assert_close(sample.state, (torch.tensor(kept) - mean) / std)
    assert (observation.state == kept).all()


def test_each_instruction_is_tokenised_once(loaded, pipeline, make_observation, monkeypatch):
    preprocess = Preprocessor(pipeline, loaded[0].config)
    first = preprocess(make_observation(task="open"))
    other = preprocess(make_observation(task="close the drawer"))
    assert first.tokens.shape != other.tokens.shape
    tokenizer = next(step for step in pipeline.steps if hasattr(step, "input_tokenizer"))
    monkeypatch.setattr(tokenizer, "_tokenize_text", lambda text: 1 / 0)
    again = preprocess(make_observation(seed=3, task="close the drawer"))
    assert torch.equal(again.tokens, other.tokens)
    assert not torch.equal(again.state, other.state)
    with pytest.raises(ZeroDivisionError):
        preprocess(make_observation(task="open"))


def test_what_might_change_pictures_sends_them_through(loaded, pipeline, make_observation):
    config = loaded[0].config
    name = next(iter(config.image_features))

    class Unknown(RenameObservationsProcessorStep):
        pass

    normalizer = step_of(pipeline, NormalizerProcessorStep)
    stats = {"mean": torch.zeros(3, 1, 1), "std": torch.full((3, 1, 1), 2.0)}
    mean_std = deepcopy(normalizer)
    mean_std.norm_map = normalizer.norm_map | {FeatureType.VISUAL: NormalizationMode.MEAN_STD}
    assert Preprocessor(replace(pipeline, steps=[mean_std]), config).passes_pictures_by
    mean_std.stats = normalizer.stats | {name: stats}
    mean_std.to("cpu")
    for step in (
        Unknown(),
        mean_std,
    ):
        changed = replace(pipeline, steps=[*pipeline.steps, step])
        assert not Preprocessor(changed, config).passes_pictures_by
    with_hook = replace(pipeline, after_step_hooks=[lambda *_: None])
    assert not Preprocessor(with_hook, config).passes_pictures_by

    others = [s for s in pipeline.steps if not isinstance(s, NormalizerProcessorStep)]
    preprocess = Preprocessor(replace(pipeline, steps=[*others, mean_std]), config)
    plain = Preprocessor(pipeline, config)
    plain.passes_pictures_by = False
    halved, whole = (p(make_observation()).pictures[0] for p in (preprocess, plain))
    torch.testing.assert_close(halved, whole / 2)


def test_the_longest_instruction_is_the_tokenizers(loaded, pipeline):
    preprocess = Preprocessor(pipeline, loaded[0].config)
    assert preprocess.max_tokens == loaded[0].config.tokenizer_max_length


@pytest.mark.parametrize(
    "rename_map",
    [
        {"observation.images.front": "observation.images.wrist"},
        {
            "observation.images.front": "observation.images.wrist",
            "observation.images.wrist": "observation.images.front",
        },
        {"observation.images.top": "observation.images.front"},
        {"observation.images.front": "observation.images.top"},
    ],
)
def test_a_renamed_picture_passes_by_too(rename_map, loaded, pipeline, make_observation):
    rename = step_of(pipeline, RenameObservationsProcessorStep)
    rename.rename_map = rename_map
    past, through = (Preprocessor(pipeline, loaded[0].config) for _ in range(2))
    assert past.passes_pictures_by
    through.passes_pictures_by = False
    one, two = past(make_observation()), through(make_observation())
    assert len(one.pictures) == len(two.pictures) > 0
    for mine, theirs in zip(one.pictures, two.pictures, strict=True):
        torch.testing.assert_close(mine.permute(2, 0, 1).float() / 255, theirs)


def test_a_rename_map_that_leaves_no_picture_is_refused(loaded, pipeline, make_observation):
    rename = step_of(pipeline, RenameObservationsProcessorStep)
    rename.rename_map = {name: f"{name}_x" for name in loaded[0].config.image_features}
    preprocess = Preprocessor(pipeline, loaded[0].config)
    with pytest.raises(ValueError, match="rename_map"):
        preprocess(make_observation())
