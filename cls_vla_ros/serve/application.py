"""The Ray Serve application, and Ray itself where none runs yet."""

import logging
import os

import ray
from ray import serve
from ray.serve.config import (
    AutoscalingConfig,
    HTTPOptions,
    ProxyLocation,
    RequestRouterConfig,
)

from cls_vla_ros.serve.replica import PolicyReplica
from cls_vla_ros.serve.settings import ServeSettings

NAME = "cls_vla"
# By the header x-session-id, so that a robot that comes back finds what it left.
ROUTER = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"
SPARE = 16  # connections that are refused in words rather than left waiting
HEALTH_PERIOD_S = 1.0


def start_ray(address: str | None, replicas: int, *, dashboard: bool) -> None:
    """Join a Ray cluster, or start one on this machine.

    Args:
        address: of the cluster, or "auto"; None for one of our own.
        replicas: that shall run; without a GPU each takes one of Ray's CPUs, however many this
            machine has.
        dashboard: whether it has one, on 127.0.0.1:8265.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Pictures go from the proxy to a replica in the message itself; by Ray's object store, where
    # what is above 100 KB goes otherwise, they take 2 ms longer.
    os.environ.setdefault("RAY_max_direct_call_object_size", str(2**24))
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address:
        ray.init(address=address, **quiet)
    else:
        cpus = max(os.cpu_count() or 1, replicas + 1)
        ray.init(num_cpus=cpus, include_dashboard=dashboard, **quiet)


def deploy(
    settings: ServeSettings,
    *,
    replicas: int,
    max_replicas: int | None = None,
    gpus: float = 0.0,
    host: str = "127.0.0.1",
    port: int = 8000,
    tls: tuple[str, str] | None = None,
    every_node: bool = False,
    drain_s: float = 10.0,
) -> None:
    """Start the application; back when all replicas are ready.

    Args:
        settings: of each replica.
        replicas: at least.
        max_replicas: at most, by Ray's autoscaler; None for `replicas`.
        gpus: of each replica; 0.5 puts two on one.
        host: address to listen at.
        port: likewise.
        tls: files of certificate chain and key, PEM; None for none.
        every_node: whether each machine of the cluster listens, or this one alone.
        drain_s: how long a replica that shall go serves its robots yet.

    Raises:
        RuntimeError: a replica could not start; Ray's text says why.
    """
    cert, key = tls or (None, None)
    serve.start(
        http_options=HTTPOptions(
            host=host,
            port=port,
            location=ProxyLocation.EveryNode if every_node else ProxyLocation.HeadOnly,
            ssl_certfile=cert,
            ssl_keyfile=key,
        )
    )
    scale = {"num_replicas": replicas}
    if max_replicas and max_replicas > replicas:
        scale = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=replicas,
                max_replicas=max_replicas,
                target_ongoing_requests=settings.max_sessions / 2,
            )
        }
    deployment = serve.deployment(
        PolicyReplica,
        name="PolicyReplica",
        max_ongoing_requests=settings.max_sessions + SPARE,
        ray_actor_options={"num_gpus": gpus} if gpus else {"num_cpus": 1},
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        graceful_shutdown_timeout_s=drain_s,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=30,  # a replica may be in a long inference
        **scale,
    )
    serve.run(deployment.bind(settings), name=NAME, route_prefix="/")


def stop(*, is_ours: bool) -> None:
    """End the application, and with it Ray where that is ours.

    Args:
        is_ours: whether `start_ray` started it.
    """
    if not is_ours:
        serve.delete(NAME)  # drained; its other applications go on
    ray.shutdown()
