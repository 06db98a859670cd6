"""What is counted, for Prometheus to read at /metrics. Each gateway has its own registry."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BY = ("version", "arm")


class Meters:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = self.registry
        self.requests = Counter("ratchet_requests", "Requests by the status of their answer.", ["status"], registry=of)
        self.seconds = Histogram("ratchet_request_seconds", "Time of an answer.", buckets=SECONDS, registry=of)
        self.rows = Counter("ratchet_rows", "Rows that were answered.", BY, registry=of)
        self.decisions = Counter("ratchet_decisions", "Rows by their answer's label.", [*BY, "label"], registry=of)
        self.faults = Counter("ratchet_model_errors", "Calls that a version failed.", [*BY, "kind"], registry=of)
        self.outcomes = Counter("ratchet_outcomes", "Outcomes that came in and were new.", registry=of)
        self.shadow = Counter("ratchet_shadow_dropped", "Copies that a busy challenger did not get.", registry=of)

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Add a figure that is read when it is asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all figures in Prometheus' format."""
        return generate_latest(self.registry)
