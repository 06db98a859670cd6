"""What the gateway has counted since it started, as tables for people."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ratchet.serving.meters import Meters

PREFIX = "ratchet_"
BY_VERSION = ("ratchet_rows", "ratchet_decisions", "ratchet_model_errors")


@dataclass
class ByArm:
    """One version in one arm: rows answered, of which how many by label, and failed calls by kind."""

    rows: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """All counts. statuses: requests by status; arms: by (version, arm); plain: (what, how many), the rest of them."""

    statuses: dict[str, int]
    arms: dict[tuple[str, str], ByArm]
    plain: list[tuple[str, str]]

    @property
    def requests(self) -> int:
        """Requests that were answered, in whatever way."""
        return sum(self.statuses.values())


def figures(meters: Meters) -> Figures:
    """Return what is counted now."""
    found = Figures({}, {}, [])
    for name, about, labels, value in _samples(meters):
        if name == "ratchet_requests":
            found.statuses[labels["status"]] = int(value)
        elif name in BY_VERSION:
            arm = found.arms.setdefault((labels["version"], labels["arm"]), ByArm())
            if name == "ratchet_rows":
                arm.rows = int(value)
            elif name == "ratchet_decisions":
                arm.decisions[labels["label"]] = int(value)
            else:
                arm.errors[labels["kind"]] = int(value)
        elif not labels:
            found.plain.append((about.rstrip("."), f"{value:,.12g}"))
    return Figures(found.statuses, dict(sorted(found.arms.items())), found.plain)


def _samples(meters: Meters) -> Iterator[tuple[str, str, dict[str, str], float]]:
    for family in meters.registry.collect():
        if family.type in ("counter", "gauge") and family.name.startswith(PREFIX):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    yield family.name, family.documentation, dict(sample.labels), sample.value
