"""The lifecycle node: cameras and joint states in, action chunks and scene changes out."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from cls_vla_ros.engine import DeviceFailedError
from cls_vla_ros.inference import Statistics
from cls_vla_ros.node.command.commander import Commander
from cls_vla_ros.node.connections import Connections, Diagnostics, Handlers, check_names
from cls_vla_ros.node.graph import Graph, sources_of
from cls_vla_ros.node.health.diagnostics import of_policy, of_session
from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.input.inputs import Inputs
from cls_vla_ros.node.live_parameters import LiveParameters
from cls_vla_ros.node.message_types import check_types
from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.node.output.ask_controllers import check_controllers
from cls_vla_ros.node.output.messages import to_scene_change
from cls_vla_ros.node.parameters import NodeParameters
from cls_vla_ros.node.transitions import refuse_impossible_transitions
from cls_vla_ros.node.watchdog import Watchdog
from cls_vla_ros.robot.action.check_settings import check_settings
from cls_vla_ros.robot.inference_loop import InferenceLoop, Result
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.policy_source import open_policy
from cls_vla_ros.robot.settings import NODE_NAME


class PolicyNode(LifecycleNode):
    """Runs the policy between `activate` and `deactivate`.

    Everything but the parameters is made by `configure` and destroyed by `cleanup`: before that
    the attributes are None. Outside a transition, an error is logged and shown on /diagnostics,
    and the node goes on.
    """

    def __init__(self, **kwargs) -> None:
        """Declare the parameters.

        Args:
            kwargs: rclpy's (namespace, parameter_overrides, context, ...).
        """
        super().__init__(NODE_NAME, **kwargs)
        self._loop: InferenceLoop | None = None
        self._server = self._session = None  # PolicyServer or RemotePolicyServer, and its session
        self._buffer: ObservationBuffer | None = None
        self._output: ActionOutput | None = None
        self._watchdog: Watchdog | None = None
        self._reporter = Reporter(self.get_logger())
        self._connections: Connections | None = None
        self._commander: Commander | None = None
        self._live: LiveParameters | None = None
        self._episode = self._inference_id = 0  # the last ones that were given, across configures
        self._device_failed = self._paused = False
        refuse_impossible_transitions(self)
        self._declared = NodeParameters(self)
        self._graph = Graph(self, self.get_logger().warning)
        self._diagnostics = Diagnostics(self, self._diagnose)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self.get_logger().info(
            "unconfigured: waiting for the configure transition, which loads the policy"
        )

    # Transitions. rclpy swallows what a callback raises and only says ERROR, so what can fail is
    # caught and said here.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the policy and connect the topics.

        FAILURE: the reason is logged, and the node is as it was.
        """
        try:
            self._configure()
        except Exception as error:
            self._destroy()
            self._reporter.transition_failed("configure", error)
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to infer, in a new episode."""
        result = super().on_activate(state)
        self._loop.start()
        self._commander.activated()
        self.get_logger().info(
            f"active: episode {self._session.episode}, task {self._declared.get('task')!r}"
        )
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to infer: when this has returned, nothing more is published.

        ERROR: the inference under way does not end, or the device has failed. The policy is given
        up then: the node is unconfigured, and can be configured again.
        """
        if self._device_failed:
            return TransitionCallbackReturn.ERROR
        try:
            self._end_loop()
        except TimeoutError:
            return TransitionCallbackReturn.ERROR
        self._reporter.health.hold("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the policy and the topics: configure may come again, with other parameters."""
        self._destroy()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As cleanup, from any state, for the last time."""
        self._destroy()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As cleanup: the node can be configured again."""
        self._destroy()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        started = time.perf_counter()
        settings = self._declared.read()
        self._reporter = Reporter(self.get_logger())
        self._reporter.health.hold("no inference yet")
        self._device_failed = False
        check_types(settings)
        check_settings(settings)
        check_names(self, settings)
        check_controllers(self, settings, self.get_logger().info)
        self._buffer = ObservationBuffer(
            settings.cameras, settings.state, self._declared.observation_limits()
        )
        self._output = ActionOutput(settings, self._reporter, self._now_ns, self._buffer)
        self._server, seen = open_policy(
            settings, self._episode, self.get_fully_qualified_name(), self.get_logger().info
        )
        self._loop = InferenceLoop(
            self._server,
            self._buffer,
            now_ns=self._now_ns,
            task=self._declared.get("task"),
            rate_hz=self._declared.get("rate_hz"),
            inference_id=self._inference_id,
            chunk_dt_s=settings.action.dt_s if settings.execution.uses_rtc else None,
            follows=lambda: self._output.follows,
            on_result=self._on_result,
            on_hold=lambda reason: self._hold(self._graph.explain(reason)),
            on_error=self._on_error,
            on_device_failed=self._on_device_failed,
        )
        self._watchdog = Watchdog(
            self._loop,
            self._output,
            self._reporter,
            now_ns=self._now_ns,
            timeout_s=lambda: self._declared.get("inference.timeout_s"),
            on_time_back=lambda s: self._reset(f"the time jumped back by {s:.3f} s"),
        )
        self._session = self._server.session()
        self._declared.set_thresholds(self._session, self._server.config)
        self._loop.paused = self._paused  # it outlives the policy
        self._commander = commander = Commander(
            *(self, settings, self._declared),
            loop=self._loop,
            output=self._output,
            buffer=self._buffer,
            reporter=self._reporter,
            seen=seen,
            reset=self._reset,
        )
        self._live = LiveParameters(
            *(self._declared, settings, self._server.config, self._session),
            *(self._buffer, self._loop, commander, self._episode_began),
        )
        self._live.apply_limits()
        inputs = Inputs(self._buffer, self._reporter, self._now_ns)
        self._connections = Connections(
            self,
            settings,
            Handlers(
                frame=inputs.frame,
                state=inputs.state,
                task=lambda message: self._declared.set("task", message.data),
                services=commander.services,
                subscribe=commander.takeover.subscribe,
                watch=(self._watchdog.look, commander.watch),
                jump=self._watchdog.jumped,
                not_taken=self._reporter.not_taken,
            ),
            self._output,
        )
        self._graph.watch(self._connections.endpoints, sources_of(settings))
        self._reporter.configured(settings, self._server.config, time.perf_counter() - started)

    def _destroy(self) -> None:
        """Back to before configure; also from the middle of it."""
        if self._loop is not None:
            try:
                self._end_loop()
            except TimeoutError as error:  # it hands nothing over any more: let it end by itself
                self._reporter.transition_failed("stop", error)
            self._episode, self._inference_id = self._session.episode, self._loop.inference_id
            self._reporter.ended(self._session, is_ros_up=self.context.ok())
            self._paused = self._loop.paused
        if self._commander is not None:
            self._commander.runs.close()
        if self._connections is not None:
            self._connections.close()
        self._graph.watch()
        server = self._server
        # Before it is closed: the diagnostics never look into what is being taken apart.
        self._loop = self._server = self._session = None
        self._buffer = self._connections = self._output = self._watchdog = None
        self._commander = self._live = None
        if server is not None:
            server.close()

    def _end_loop(self) -> None:
        self._loop.hush()
        if self.context.ok():
            self._commander.deactivated()  # before anybody waits
        self._loop.stop(self._declared.get("inference.timeout_s"))

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    # Results out; in the inference thread

    def _on_result(self, result: Result) -> None:
        for problem in result.snapshot.problems:
            self._reporter.refused(*problem)
        if problem := self._watchdog.late() or self._graph.refusal():
            self._hold(problem)
        else:
            self._commander.admit(result)
            if self._output.take(result):  # first, since an arm waits for it
                self._reporter.good(result)
        threshold, limits = self._session.threshold, self._session.limits
        has_say = limits.allow_untrained or self._server.config.cls_head_trained
        to_whom = self._output.to_whom()
        message = to_scene_change(result, threshold, limits.glance_threshold, has_say, to_whom)
        self._connections.scene_change.publish(message)
        self._commander.runs.inferred(message)

    def _hold(self, reason: str) -> None:
        self._output.flush(reason)
        self._reporter.hold(reason)

    def _on_error(self, error: Exception) -> None:
        self._output.flush(f"the inference failed: {error}")
        self._reporter.inference_failed(error)

    def _on_device_failed(self, error: DeviceFailedError) -> None:
        self._device_failed = True
        self._output.flush(str(error))
        self._reporter.device_failed(error)
        # Not from here: deactivate waits for this thread.
        self.executor.create_task(self.trigger_deactivate)

    def _reset(self, cause: str) -> int:
        return self._episode_began(cause, *self._loop.reset())

    def _episode_began(self, cause: str, episode: int, ended: Statistics) -> int:
        self._output.flush(cause)  # after the reset, so that no older chunk comes behind
        return self._reporter.episode_ended(cause, episode, ended)

    # Parameters

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        problems = [
            self._declared.problem(p, is_configured=self._loop is not None)
            or (self._live.forbids(p) if self._live else "")
            for p in parameters
        ]
        problems = list(filter(None, problems))
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    def _apply_parameters(self, parameters: list[Parameter]) -> None:
        if self._live is not None:
            self._live.apply(parameters)

    def _diagnose(self) -> DiagnosticArray:
        more = {"task": self._declared.get("task"), "graph": self._graph.problems}
        server, session, buffer, loop = self._server, self._session, self._buffer, self._loop
        if loop is not None:  # a transition in another thread may end them now
            more |= of_policy(server) | of_session(session) | buffer.to_values(self._now_ns())
            more["inferences discarded by a reset"] = loop.discarded
        name = f"{self.get_fully_qualified_name().lstrip('/')}: inference"
        path = self._declared.get("policy.path") or self._declared.get("policy.server")
        return self._reporter.health.to_message(self.get_clock().now().to_msg(), name, path, more)

    def destroy_node(self) -> None:
        """Stop the inference thread first."""
        self._destroy()
        super().destroy_node()
