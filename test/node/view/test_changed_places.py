"""The places that are drawn are those that the node's own numbers come from."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.console.share import share
from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, difference
from cls_vla_ros.node.view.changed_places import ChangedPlaces, GlanceMaps
from cls_vla_ros.recordings.bag_episodes import BagEpisode
from cls_vla_ros.recordings.episodes import Source
from cls_vla_ros.robot.parameters.params_file import parameters_of

FRAMES = 40


@pytest.fixture(scope="module")
def demo():
    """The demo's cameras, and its first observations: the drawer is moved in them."""
    with parameters_of(share("config", "demo.yaml"), {"policy.device": "cpu"}) as parameters:
        episode = BagEpisode(share("bags", "demo"), parameters, Source())
        frames = [frame.observation for frame in episode.frames()]
        settings = parameters.read()
    return settings.cameras, frames[:FRAMES]


def said(inference) -> SimpleNamespace:
    return SimpleNamespace(episode=1, prefix_reused=inference.prefix_reused, glance_threshold=0.2)


def test_the_glances_places_are_the_nodes(demo):
    cameras, observations = demo
    server = PolicyServer(*load_policy(share("policies", "demo"), "cpu"), seed=0)
    server.config.num_steps = 1
    session = server.session()
    unguarded = frozenset(camera.feature for camera in cameras if not camera.guard)
    session.limits = replace(session.limits, unguarded=unguarded)
    places = ChangedPlaces(cameras, 0.5, GlanceMaps.of_checkpoint("demo"))
    compared = []
    for observation in observations:
        inference = server.infer(observation)
        found = places.look(observation, said(inference))
        if not np.isnan(inference.glance_score):
            assert list(found) == ["front"]  # the wrist's moves with the arm
            assert found["front"].values.shape == (12, 16)
            assert found["front"].what == "glance"
            compared.append((found["front"].values.max(), inference.glance_score))
    mine, nodes = np.array(compared).T
    assert len(compared) > FRAMES / 2
    np.testing.assert_allclose(mine, nodes, atol=1e-5)
    assert np.ptp(nodes) > 0.05  # it says something


def test_without_a_glance_the_guards_patches_count(demo):
    cameras, observations = demo
    places = ChangedPlaces(cameras, 0.5, None)
    first, second = observations[0], observations[30]
    full = SimpleNamespace(episode=1, prefix_reused=False, glance_threshold=1.0)
    assert places.look(first, full) == {}
    found = places.look(second, SimpleNamespace(**{**vars(full), "prefix_reused": True}))
    pictures = [o.images["observation.images.front"] for o in (second, first)]
    expected = difference(*map(Thumbnail.of, pictures))
    assert list(found) == ["front"]
    assert found["front"].values.max() == pytest.approx(expected)
    assert found["front"].threshold == 0.5


def test_another_episode_has_no_cached_prefix(demo):
    cameras, observations = demo
    places = ChangedPlaces(cameras, 0.5, None)
    for episode in (1, 2):
        message = SimpleNamespace(episode=episode, prefix_reused=False, glance_threshold=1.0)
        assert places.look(observations[0], message) == {}


def test_a_checkpoint_without_glance_has_no_maps(checkpoint):
    assert GlanceMaps.of_checkpoint(str(checkpoint)) is None
