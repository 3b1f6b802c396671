import json
import sys

import pytest
import torch
from fixtures.checkpoints import edit, statistics
from fixtures.lerobot_training import record
from safetensors.torch import load_file, save_file

from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy.checkpoint.add_statistics import add_statistics
from cls_vla_ros.policy.checkpoint.add_statistics import main as add_statistics_command
from cls_vla_ros.policy.checkpoint.files import load_config

STATE = "observation.state"


@pytest.fixture
def old(whole):
    """As lerobot before 0.4 wrote it: statistics in the weights, no processors."""
    for file in whole.glob("policy_*"):
        file.unlink()
    weights = load_file(whole / "model.safetensors")
    for module, name in (
        ("normalize_inputs", "observation_state"),
        ("normalize_targets", "action"),
        ("unnormalize_outputs", "action"),
    ):
        for stat, values in statistics()[name.replace("_", ".")].items():
            weights[f"{module}.buffer_{name}.{stat}"] = values
    save_file(weights, whole / "model.safetensors")
    return whole


def test_an_older_checkpoint_is_normalised_by_what_is_in_its_weights(old, caplog):
    caplog.set_level("INFO")
    _, before, after = load_policy(old, "cpu")
    assert "lerobot before 0.4" in caplog.text
    assert "has no place for" not in caplog.text
    batch = before({STATE: torch.full((5,), 5.0), "task": "go"})
    assert batch[STATE].tolist() == [[1.0] * 5]  # (5 - 3) / 2
    assert after(torch.ones(1, 50, 4))[0, 0].tolist() == [5.0] * 4


def test_without_those_either_it_says_what_writes_them(whole):
    for file in whole.glob("policy_*"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"hold no statistics either.*add_statistics"):
        load_policy(whole, "cpu")
    assert add_statistics(whole, statistics()) == whole
    _, before, _ = load_policy(whole, "cpu")
    assert before({STATE: torch.full((5,), 5.0), "task": "go"})[STATE].tolist() == [[1.0] * 5]


def test_statistics_of_another_dataset_are_replaced_or_nothing_is_written(make_whole):
    wrong = make_whole({f"x.{name}": values for name, values in statistics().items()})
    with pytest.raises(ValueError, match="add_statistics"):
        load_policy(wrong, "cpu")
    kept = {file.name: file.read_bytes() for file in wrong.glob("policy_*")}
    with pytest.raises(ValueError, match=r"lacks mean and std of 'observation.state'"):
        add_statistics(wrong, {"action": statistics()["action"]})
    assert {file.name: file.read_bytes() for file in wrong.glob("policy_*")} == kept
    add_statistics(wrong, statistics())
    _, before, after = load_policy(wrong, "cpu")
    assert before({STATE: torch.full((5,), 5.0), "task": "go"})[STATE].tolist() == [[1.0] * 5]
    assert after(torch.ones(1, 50, 4))[0, 0].tolist() == [5.0] * 4


def test_the_command(make_whole, tmp_path, monkeypatch, capsys):
    wrong = make_whole(None)
    dataset = record(tmp_path / "data", ["observation.images.front"], 5, 4)
    monkeypatch.setattr(sys, "argv", ["add_statistics", str(wrong), str(dataset)])
    add_statistics_command()
    assert "wrote the statistics of" in capsys.readouterr().out
    _, before, _ = load_policy(wrong, "cpu")
    ones = before({STATE: torch.ones(5), "task": "go"})[STATE]
    assert ones.abs().max() < 3.0  # the dataset's values are around 1
    monkeypatch.setattr(sys, "argv", ["add_statistics", str(wrong), str(tmp_path)])
    with pytest.raises(SystemExit):
        add_statistics_command()
    assert "is no LeRobotDataset" in capsys.readouterr().err


def test_a_field_of_a_later_version_is_one_sentence(whole):
    edit(whole, lambda c: c.update(some_later_field=True))
    said = r"whole/config\.json has the field 'some_later_field', which .*lerobot 0\.6\.1"
    with pytest.raises(ValueError, match=said) as raised:
        load_policy(whole, "cpu")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change", [{"chunk_size": "many"}, {"rtc_config": {"a_later_one": 1}}, {"input_features": 3}]
)
def test_a_value_that_is_none_names_the_file(whole, change):
    edit(whole, lambda c: c.update(change))
    with pytest.raises(ValueError, match=r"whole/config\.json has a value.*lerobot") as raised:
        load_config(whole)
    assert "\n" not in str(raised.value)


def test_a_damaged_configuration_names_the_file(whole):
    (whole / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"whole/config\.json is damaged"):
        load_config(whole)
    (whole / "config.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match=r"whole/config\.json is damaged"):
        load_config(whole)
