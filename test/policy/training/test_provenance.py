import json
import multiprocessing
import os
import socket

import numpy as np
import pytest
import torch
import torch.distributed
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from cls_vla_ros.policy.training.provenance import (
    dataset_fingerprints,
    fingerprint,
    seen_by_all_processes,
)


@pytest.fixture
def episodes():
    """Three of other lengths, 2 state and 1 action values."""
    random = np.random.default_rng(0)
    return [
        (random.normal(size=(n, 2)).astype(np.float32), random.normal(size=(n, 1)))
        for n in (3, 5, 4)
    ]


def test_it_is_the_same_for_the_same_and_another_for_another(episodes):
    states, actions = episodes[0]
    same = fingerprint(states, actions)
    assert fingerprint(states + 1e-6, actions.astype(np.float32)) == same
    assert fingerprint(states + 0.001, actions) != same
    assert fingerprint(states, actions + 0.001) != same
    assert fingerprint(states[:-1], actions[:-1]) != same
    assert fingerprint(states * 0.0, actions) == fingerprint(states * -0.0, actions)


@pytest.mark.parametrize(("frames", "of_actions"), [(0, 0), (3, 2)])
def test_an_episode_has_an_action_for_each_frame(frames, of_actions):
    with pytest.raises(ValueError, match="as many actions"):
        fingerprint(np.zeros((frames, 2)), np.zeros((of_actions, 1)))


def test_a_datasets_are_those_of_its_episodes(episodes, tmp_path):
    features = {
        "observation.state": {"dtype": "float32", "shape": (2,), "names": None},
        "action": {"dtype": "float32", "shape": (1,), "names": None},
    }
    root = tmp_path / "dataset"
    dataset = LeRobotDataset.create("local/x", 10, features, root=root, use_videos=False)
    for states, actions in episodes:
        for state, action in zip(states, actions.astype(np.float32), strict=True):
            dataset.add_frame({"observation.state": state, "action": action, "task": "t"})
        dataset.save_episode()
    dataset.finalize()
    expected = [fingerprint(*episode) for episode in episodes]
    assert dataset_fingerprints(root) == expected
    assert dataset_fingerprints(root, [2, 0]) == [expected[0], expected[2]]


def test_what_is_no_dataset_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no LeRobotDataset"):
        dataset_fingerprints(tmp_path)


def _one_of_two(rank: int, port: int, out) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    batches = [[torch.tensor([0, 1, 1])], [torch.tensor([4])]]  # of other sizes
    seen = [sorted(seen_by_all_processes(batch, 6)) for batch in batches[rank]]
    (out / f"{rank}.json").write_text(json.dumps(seen))
    torch.distributed.destroy_process_group()


def test_what_other_processes_train_on_is_seen_too(tmp_path):
    """Only the first process saves the checkpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")  # quick, and there is no CUDA in it
    processes = [fork.Process(target=_one_of_two, args=(n, port, tmp_path)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == [[0, 1, 4]]


def test_alone_it_is_what_the_batch_has():
    assert seen_by_all_processes(torch.tensor([3, 3, 1]), 6) == {1, 3}
