"""A short run over a recording: five inferences, two episodes, three labelled events."""

import math

import pytest

from cls_vla_ros.demo.report import Recorded
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.output.stamps import to_time

START_NS = 1_700_000_000 * 10**9
EVENTS = [
    {"stamp_ns": START_NS + 25 * 10**7, "kind": "object_moved", "scene_change": True},
    {"stamp_ns": START_NS + 42 * 10**7, "kind": "occluder_in", "scene_change": True},
    {"stamp_ns": START_NS + 43 * 10**7, "kind": "light_dimmed", "scene_change": False},
]


def scene_change(number: int, episode: int, similarity: float) -> SceneChange:
    message = SceneChange(
        inference_id=int(number), episode=episode, similarity=similarity, threshold=0.5
    )
    message.header.stamp = to_time(START_NS + round(number * 10**8))
    message.has_history = not math.isnan(similarity)
    message.should_cache = not message.has_history or similarity > 0.5
    message.scene_changed = not message.should_cache
    message.evaluated = True
    message.prefix_ms, message.denoise_ms, message.total_ms = 1.0, 2.0, 10.0 * number
    return message


@pytest.fixture
def recorded() -> Recorded:
    changes = [
        scene_change(*v)
        for v in ((1, 1, math.nan), (2, 1, 0.9), (3, 1, 0.2), (4, 2, math.nan), (5, 2, 0.8))
    ]
    chunks = [
        ActionChunk(
            header=m.header, inference_id=m.inference_id, episode=m.episode, names=["pan", "lift"],
            units=["rad", "rad"], dt=0.05, chunk_size=3, action_dim=2,
            data=[0.0, 0.5, 0.1, 0.6, 0.2, 0.1 * m.inference_id],
        )
        for m in changes
    ]  # fmt: skip
    return Recorded(changes, chunks, START_NS + 35 * 10**7, START_NS, EVENTS, trained=True)
