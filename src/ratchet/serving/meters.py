"""What is counted, for Prometheus to read at /metrics. Each gateway has its own registry."""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ratchet.serving.oddities import Odd

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
BY = ("version", "arm")


class Meters:
    """The counters of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children = dict[tuple[object, ...], Any]()
        of = self.registry
        self.requests = Counter("ratchet_requests", "Requests by the status of their answer.", ["status"], registry=of)
        self.seconds = Histogram(
            "ratchet_request_seconds", "Time of an answer.", ["path", "status"], buckets=SECONDS, registry=of
        )
        self.rows = Counter("ratchet_rows", "Rows that were answered.", BY, registry=of)
        self.decisions = Counter("ratchet_decisions", "Rows by their answer's label.", [*BY, "label"], registry=of)
        self.faults = Counter("ratchet_model_errors", "Calls that a version failed.", [*BY, "kind"], registry=of)
        self.outcomes = Counter("ratchet_outcomes", "Outcomes that came in and were new.", registry=of)
        about = "Cells of answered rows that training gives no ground for."
        self.odd_cells = Counter("ratchet_odd_cells", about, ["version", "column", "warning"], registry=of)
        self.shadow = Counter("ratchet_shadow_dropped", "Copies that a busy challenger did not get.", registry=of)

    def answered(self, version: int, arm: str, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count rows that were answered, and how."""
        self._labelled(self.rows, version, arm).inc(len(answers))
        if "label" in answers[0]:
            for label, count in Tally([answer["label"] for answer in answers]).items():
                self._labelled(self.decisions, version, arm, label).inc(count)

    def odd(self, version: int, cells: Sequence[Odd]) -> None:
        """Count cells that training gives no ground for."""
        for (column, warning), count in Tally((cell.column, cell.warning) for cell in cells).items():
            self._labelled(self.odd_cells, version, column, warning).inc(count)

    def done(self, status: int) -> None:
        """Count a request for answers to rows."""
        self._labelled(self.requests, status).inc()

    def timed(self, path: str, status: int, seconds: float) -> None:
        """Observe how long an answer took. path: one of the gateway's addresses, or a word for all others."""
        self._labelled(self.seconds, path, status).observe(seconds)

    def _labelled(self, meter: Counter | Histogram, *labels: object) -> Any:
        """A meter's child, found without the library's lock."""
        found = self._children.get((meter, *labels))
        if found is None:
            found = self._children[(meter, *labels)] = meter.labels(*labels)
        return found

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Add a figure that is read when it is asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all figures in Prometheus' format."""
        return generate_latest(self.registry)
