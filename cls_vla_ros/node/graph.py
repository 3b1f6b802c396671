"""What the ROS graph says of the topics: DDS connects what fits, and of the rest it is silent."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from cls_vla_ros.robot.settings import Settings

PERIOD_S = 0.5
UNNAMED = "a node without a name"
DURATIONS = ("deadline", "lifespan", "liveliness_lease_duration")
FOR_EVER_NS = 2**31 * 10**9  # DDS has 31 bits of seconds, and some say all of them
SETTLE_S = 1.0  # discovery has found everybody by then, on a quiet network


@dataclass(frozen=True)
class Endpoint:
    """A topic that the node hears, or says.

    Attributes:
        topic: relative to the node's namespace.
        kind: class of its messages.
        qos: of the node's own end.
    """

    topic: str
    kind: type
    qos: QoSProfile


@dataclass(frozen=True)
class Endpoints:
    """All that a node hears, and says."""

    inputs: list[Endpoint] = field(default_factory=list)
    outputs: list[Endpoint] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """What the parameters say of a topic that an observation needs.

    Attributes:
        parameters: what their names begin with, such as "camera.front".
        type_hint: what to set where the type is another one; may be empty.
        several: whether more than one may publish on it.
    """

    parameters: str
    type_hint: str = ""
    several: bool = False


class Graph:
    """Looks twice a second; what is wrong is said once, for as long as it lasts."""

    def __init__(self, node: Node, say: Callable[[str], None]) -> None:
        """Watch the node's own name and its clock; its topics as soon as it has any.

        Args:
            node: whose topics they are.
            say: gets what is wrong, in words, when it begins.
        """
        self._node, self._say = node, say
        self._sources: dict[str, Source] = {}
        self._endpoints = Endpoints()
        self._since = time.monotonic()
        self._about_topics: list[str] = []
        self._said: set[str] = set()
        self._unnamed_since: dict[str, float] = {}
        # Not in ROS time: that stands still without /clock.
        node.create_timer(PERIOD_S, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def problems(self) -> str:
        """All that is wrong with the sources, as of the last look."""
        return "; ".join(self._about_topics)

    @property
    def said(self) -> list[str]:
        """All that is wrong, outputs and the node's name too, as of the last look."""
        return sorted(self._said)

    def explain(self, reason: str) -> str:
        """A reason to hold, with what the graph knows of its cause."""
        return "; ".join(filter(None, (reason, self.problems)))

    def watch(
        self,
        endpoints: Endpoints | None = None,
        sources: dict[str, Source] | None = None,
    ) -> None:
        """Look at other topics from now on.

        Args:
            endpoints: what the node hears and says.
            sources: by topic, those of the inputs that must have a publisher.
        """
        self._endpoints, self._sources = endpoints or Endpoints(), sources or {}
        self._since = time.monotonic()
        self._about_topics = []

    def look(self) -> None:
        """Is all well?"""
        is_settled = time.monotonic() - self._since > SETTLE_S
        about_topics = [t for e in self._endpoints.inputs for t in self._of_input(e, is_settled)]
        self._about_topics = about_topics
        texts = [*about_topics, *(t for e in self._endpoints.outputs for t in self._of_output(e))]
        if is_settled:
            texts += self._of_node()
        said = {text for text in texts if text in self._said or self._is_named(text)}
        for text in said - self._said:
            self._say(text)
        self._said = said
        self._unnamed_since = {t: s for t, s in self._unnamed_since.items() if t in texts}

    def _is_named(self, text: str) -> bool:
        """Whether it has the other node's name; that comes a little later than its endpoint."""
        now = time.monotonic()
        first = self._unnamed_since.setdefault(text, now) if UNNAMED in text else 0.0
        return now - first > SETTLE_S

    def refusal(self) -> str:
        """Why no action may follow from what was heard; empty if it may. From any thread.

        Asked before each action, and not only twice a second: a second publisher's first message
        may be a joint's position where the joint is not.
        """
        return "; ".join(filter(None, map(self._too_many, self._endpoints.inputs)))

    def _too_many(self, endpoint: Endpoint) -> str:
        source = self._sources.get(endpoint.topic)
        if source is None or source.several or self._node.count_publishers(endpoint.topic) < 2:
            return ""
        infos = self._node.get_publishers_info_by_topic(endpoint.topic)
        heard = [i for i in infos if _fits(i, endpoint) and not _qos_problem(endpoint, i)]
        if len(heard) < 2:
            return ""
        return (
            f"{endpoint.topic} has {len(heard)} publishers, {_names(heard)}, and nobody can tell "
            "whose message is true: stop all but one, or, if they are meant to share it, set "
            f"{source.parameters}.allow_several_publishers"
        )

    def _of_input(self, endpoint: Endpoint, is_settled: bool) -> list[str]:
        infos = self._node.get_publishers_info_by_topic(endpoint.topic)
        source = self._sources.get(endpoint.topic)
        if not infos:
            if source is None or not is_settled:
                return []
            return [
                f"nobody publishes on {self._node.resolve_topic_name(endpoint.topic)} "
                f"({source.parameters}.topic), where {_type_name(endpoint.kind)} should come"
            ]
        texts = _mismatches(endpoint, infos, "published", source)
        return [*texts, text] if (text := self._too_many(endpoint)) else texts

    def _of_output(self, endpoint: Endpoint) -> list[str]:
        infos = self._node.get_subscriptions_info_by_topic(endpoint.topic)
        return _mismatches(endpoint, infos, "subscribed to", None)

    def _of_node(self) -> list[str]:
        node, texts = self._node, []
        own = (node.get_name(), node.get_namespace())
        if node.get_node_names_and_namespaces().count(own) > 1:
            texts.append(
                f"there is another node {node.get_fully_qualified_name()}: both hear the same "
                "reset and parameters, and both command. Stop one, or start it in a namespace of "
                "its own"
            )
        if node.get_parameter("use_sim_time").value and not node.count_publishers("/clock"):
            texts.append(
                "use_sim_time is set, and nobody publishes /clock: the time stands still, and "
                "nothing is inferred. Start the simulator or the recording, or leave it out"
            )
        return texts


def sources_of(settings: Settings) -> dict[str, Source]:
    """What the parameters say of the topics that an observation needs, by topic."""
    sources = {
        camera.topic: Source(
            f"camera.{camera.name}",
            f"Set camera.{camera.name}.transport, which is {camera.transport!r}",
            camera.allow_several_publishers,
        )
        for camera in settings.cameras
    }
    for state in settings.state.sources:
        several = state.allow_several_publishers or state.allow_partial
        group = f"source.{state.name}" if state.name else "state"
        hint = f"Set {group}.type, which is {state.type!r}" if state.name else ""
        sources[state.topic] = Source(group, hint, several)
    return sources


def _mismatches(
    endpoint: Endpoint, infos: list[TopicEndpointInfo], verb: str, source: Source | None
) -> list[str]:
    texts = []
    wanted, hint = _type_name(endpoint.kind), source.type_hint if source else ""
    if others := [info for info in infos if not _fits(info, endpoint)]:
        types = " and ".join(sorted({info.topic_type for info in others}))
        texts.append(
            f"{endpoint.topic} is {verb} as {types} by {_names(others)}, and here it is {wanted}: "
            f"the two are never connected. {hint or 'Map another topic'}, or let "
            "the other side use that type"
        )
    for info in infos:
        if _fits(info, endpoint) and (problem := _qos_problem(endpoint, info)):
            texts.append(
                f"{endpoint.topic} is {verb} by {_names([info])} with a quality of service that "
                f"is never connected: {problem}"
                + (f" See {source.parameters}.reliability" if source else "")
            )
    return texts


def _qos_problem(endpoint: Endpoint, info: TopicEndpointInfo) -> str:
    """Why the two ends are not connected; empty if they are."""
    theirs = info.qos_profile
    # The graph says "for ever" where nothing was asked for; compared with ours, that would differ.
    unset = {n: Duration() for n in DURATIONS if getattr(theirs, n).nanoseconds >= FOR_EVER_NS}
    for name, value in unset.items():
        setattr(theirs, name, value)
    pair = (theirs, endpoint.qos)
    if info.endpoint_type.name == "SUBSCRIPTION":
        pair = pair[::-1]
    compatibility, reason = qos_check_compatible(*pair)
    return reason.strip() if compatibility == QoSCompatibility.ERROR else ""


def _fits(info: TopicEndpointInfo, endpoint: Endpoint) -> bool:
    return info.topic_type == _type_name(endpoint.kind)


def _type_name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def _names(infos: list[TopicEndpointInfo]) -> str:
    names = {
        UNNAMED
        if "NODE_NAME_UNKNOWN" in info.node_name
        else f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        for info in infos
    }
    return " and ".join(sorted(names))
