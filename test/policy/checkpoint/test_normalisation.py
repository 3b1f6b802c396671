import math

import pytest
import torch
from fixtures.checkpoints import edit, statistics
from lerobot.configs import NormalizationMode

from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy import CLSSmolVLAPolicy

STATE, ACTION = "observation.state", "action"


def changed(name, stat, values) -> dict:
    stats = statistics()
    stats[name][stat] = torch.tensor(values)
    return stats


def without(name, *which) -> dict:
    stats = statistics()
    stats[name] = {stat: value for stat, value in stats[name].items() if stat not in which}
    return stats


BY_DATASET = {f"so100.buffer.{name}": values for name, values in statistics().items()}
BAD = {
    "of other datasets": (BY_DATASET, r"lacks mean and std of 'observation.state'.*'so100.buffer"),
    "none": (None, r"lacks mean and std of 'observation.state'; found are nothing"),
    "none of the action": ({STATE: statistics()[STATE]}, r"lacks mean and std of 'action'; found"),
    "no std": (without(ACTION, "std"), r"lacks std of 'action'; found are action with \['mean'\]"),
    "NaN": (changed(STATE, "mean", [0.0, math.nan, 0, 0, 0]), r"mean that is no number at \[1\]"),
    "infinite": (changed(ACTION, "std", [1.0, 1, 1, math.inf]), r"std that is no number at \[3\]"),
    "zero std": (
        changed(STATE, "std", [1.0, 1, 0, 1, 1]),
        r"std of 0 or less at the values \[2\]",
    ),
    "a zero std of an action": (changed(ACTION, "std", [1.0, 1, 1, 0]), r"action\).*values \[3\]"),
    "sizes that differ": (changed(STATE, "std", [1.0, 1.0]), r"mean of 5 values and std of 2"),
    "more than the policy has": (
        statistics(state=40),
        r"40 values of observation.state.*takes 32",
    ),
}


@pytest.mark.parametrize(("stats", "said"), BAD.values(), ids=BAD)
def test_statistics_that_do_not_fit_are_refused_before_weights_are_loaded(
    stats, said, make_whole, monkeypatch
):
    checkpoint = make_whole(stats)
    monkeypatch.setattr(CLSSmolVLAPolicy, "from_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ValueError, match=said + r".*add_statistics CHECKPOINT"):
        load_policy(checkpoint, "cpu")


@pytest.mark.parametrize(
    ("mode", "needed"),
    [("MIN_MAX", ("min", "max")), ("QUANTILES", ("q01", "q99")), ("QUANTILE10", ("q10", "q90"))],
)
def test_each_mode_has_its_own(mode, needed, make_whole):
    modes = {kind: NormalizationMode(mode) for kind in ("STATE", "ACTION")}
    with pytest.raises(ValueError, match=f"lacks {needed[0]} and {needed[1]} of"):
        load_policy(make_whole(statistics(), normalization_mapping=modes), "cpu")
    low_high = {
        name: dict(zip(needed, (-torch.ones(size), torch.ones(size)), strict=True))
        for name, size in ((STATE, 5), (ACTION, 4))
    }
    load_policy(make_whole(low_high, "fine", normalization_mapping=modes), "cpu")
    low_high[STATE][needed[1]] = -torch.ones(5)
    with pytest.raises(ValueError, match=f"{needed[1]} - {needed[0]} of 0 or less"):
        load_policy(make_whole(low_high, "flat", normalization_mapping=modes), "cpu")


def test_pictures_that_are_normalised_need_statistics_too(make_whole):
    modes = dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.MEAN_STD)
    of_pictures = {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)}
    with pytest.raises(ValueError, match=r"of pictures\) lacks mean and std of 'observation.im"):
        load_policy(make_whole(statistics(), normalization_mapping=modes), "cpu")
    # Trained without the wrist camera.
    stats = statistics() | {"observation.images.front": of_pictures}
    load_policy(make_whole(stats, "fine", normalization_mapping=modes), "cpu")


def test_without_normalisation_no_statistics_are_needed(make_whole):
    modes = dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY)
    load_policy(make_whole(None, normalization_mapping=modes), "cpu")


def test_a_normaliser_that_leaves_the_state_or_the_action_is_refused(make_whole):
    checkpoint = make_whole(statistics())

    def forget(name):
        def change(content):
            for step in content["steps"]:
                step.get("config", {}).get("features", {}).pop(name, None)

        return change

    edit(checkpoint, forget(STATE), "policy_preprocessor.json")
    with pytest.raises(ValueError, match=r"does not normalise observation.state: its normaliser"):
        load_policy(checkpoint, "cpu")
    checkpoint = make_whole(statistics(), "other")
    for step in ("normalizer_processor", "unnormalizer_processor"):
        steps = lambda content, step=step: content.update(  # noqa: E731
            steps=[s for s in content["steps"] if s.get("registry_name") != step]
        )
        edit(checkpoint, steps, "policy_postprocessor.json")
    with pytest.raises(ValueError, match="has no step that normalises it"):
        load_policy(checkpoint, "cpu")


@pytest.mark.parametrize("name", [STATE, ACTION])
def test_the_size_of_the_statistics_is_the_truth_and_is_said(name, make_whole, caplog):
    """As lerobot-train leaves it where the checkpoint that it began with had another size."""
    checkpoint = make_whole(statistics(7, 7), action_dim=7)
    features = "input_features" if name == STATE else "output_features"
    edit(checkpoint, lambda c: c[features][name].update(shape=[6]))
    seen = []
    policy, before, _ = load_policy(checkpoint, "cpu", seen.append)
    assert tuple(getattr(policy.config, features)[name].shape) == (7,)
    assert seen[0] is policy.config  # the node compares its joints with that
    said = [r.getMessage() for r in caplog.records if "statistics that the policy" in r.message]
    assert len([line for line in said if f"{name} is [6]" in line]) == 1
    assert before({STATE: torch.full((7,), 5.0), "task": "go"})[STATE].tolist() == [[1.0] * 7]
