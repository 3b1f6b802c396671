import pytest

from cls_vla_ros.serve.request import RequestError, parse
from cls_vla_ros.serve.sessions import FullError, Sessions


class Server:
    """Counts what is asked of it."""

    def __init__(self) -> None:
        self.resets, self.removed = [], []

    def reset(self, name: str) -> None:
        self.resets.append(name)

    def remove_session(self, name: str) -> None:
        self.removed.append(name)


@pytest.fixture
def server():
    return Server()


def ask(sessions, owner, **message):
    return sessions.begin("a", owner, parse({"reset": True} | message))


def test_an_episode_that_is_over_never_comes_back(server):
    sessions = Sessions(server, 2, 60.0)
    sessions.open("a", "first")
    assert ask(sessions, "first", episode=5) == 5
    assert ask(sessions, "first", episode=7) == 7
    with pytest.raises(RequestError, match="episode 6 is over: 7 has begun"):
        ask(sessions, "first", episode=6)
    sessions.open("a", "second")  # a node that was started anew counts from the beginning
    assert ask(sessions, "second", episode=1) == 1
    with pytest.raises(RequestError, match="another connection"):
        ask(sessions, "first", episode=8)
    assert server.resets == ["a"] * 3


def test_who_leaves_makes_room_when_it_is_needed_and_is_forgotten_in_time(server):
    sessions = Sessions(server, 2, 60.0)
    for name in ("a", "b"):
        assert sessions.open(name, name) is None
    with pytest.raises(FullError, match="2 robots"):
        sessions.open("c", "c")
    sessions.close("a", "a", forgets=False)
    assert (len(sessions), sessions.connected) == (2, 1)
    sessions.open("c", "c")
    assert server.removed == ["a"]
    sessions.close("c", "another", forgets=True)  # not its connection any more
    assert len(sessions) == 2
    at_once = Sessions(server, 2, 0.0)
    at_once.open("d", "d")
    at_once.close("d", "d", forgets=False)
    at_once.sweep()
    assert len(at_once) == 0
