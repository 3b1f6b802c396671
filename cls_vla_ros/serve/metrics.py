"""What Ray's metrics agent shows to Prometheus, beside Ray Serve's own."""

from ray.serve.metrics import Counter, Gauge, Histogram

MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]


class Metrics:
    """Of one replica; Ray adds its name."""

    def __init__(self) -> None:
        self.answers = Counter(
            "cls_vla_answers", description="answers by outcome", tag_keys=("outcome",)
        )
        self.robots = Gauge("cls_vla_robots", description="sessions on the replica")
        self.queue = Gauge("cls_vla_queue", description="requests that wait")
        self.batch = Histogram(
            "cls_vla_batch_size", description="robots in a batch", boundaries=[1, 2, 4, 8, 16, 32]
        )
        self.wait_ms = Histogram(
            "cls_vla_wait_ms", description="from arrival to its batch, ms", boundaries=MS
        )
        self.infer_ms = Histogram(
            "cls_vla_infer_ms", description="of a batch's inference, ms", boundaries=MS
        )

    def outcome(self, what: str) -> None:
        """Count an answer: "actions", "reset", "refused", "late" or "failed"."""
        self.answers.inc(tags={"outcome": what})
