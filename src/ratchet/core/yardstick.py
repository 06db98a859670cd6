"""By what a version is judged, held against that by which the champion was: nothing is loosened without being told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.config import METRICS, Acceptance, Gate, Task

Terms = Mapping[str, Any]
STAGES = ("Staging", "Production")
VERIFIED = "verified"
KEPT, LOOSENED, GONE, NEW = "as before", "loosened", "gone", "new"
# The bounds of a gate, and whether a higher one asks for more.
BOUNDS = {
    "minimum": True, "maximum": False, "max_drop": False, "min_gain": True, "max_gap": False, "max_ratio": False,
    "size_mb": False, "age_days": False,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One gate beside the champion's: stage, the champion's and the present one in the words of the YAML, the change.

    change: `as before` (or stricter), `loosened`, `gone` or `new`.
    """

    stage: str
    champion: str
    now: str
    change: str


def terms_of(task: Task) -> dict[str, Any]:
    """Return all that decides whether a version of the task comes to a stage, as plain values."""
    return task.model_dump(
        mode="json", include={"gates": True, "approvals": True, "problem": True, "decision": True, "search": {"metric"}}
    )


def compare(before: Terms, now: Terms) -> list[Row]:
    """Return the gates of both stages, each beside the champion's.

    Args:
        before: The terms by which the champion was judged.
        now: The terms of the present task.
    """
    rows = []
    for stage in STAGES:
        old, new = _gates(before, stage), _gates(now, stage)
        for gate in old:
            alike = [each for each in new if _is_alike(each, gate)]
            kept = [each for each in alike if _is_as_strict(each, gate)]
            change = KEPT if kept else LOOSENED if alike else GONE
            rows.append(Row(stage, in_words(gate), in_words((kept or alike)[0]) if alike else "", change))
        rows += [Row(stage, "", in_words(gate), NEW) for gate in new if not any(_is_alike(gate, each) for each in old)]
    return rows


def loosened(before: Terms, now: Terms, stage: str, champion: int) -> list[str]:
    """Return a sentence for each thing on the way to a stage that asks for less than it asked of the champion.

    Args:
        before: The terms by which the champion was judged.
        now: The terms of the present task.
        stage: Staging or Production; the way to Production leads through Staging.
        champion: The champion's version.
    """
    way = STAGES[: STAGES.index(stage) + 1]
    said = [
        f"gates.{row.stage.lower()}: {row.champion} of version {champion} is {row.now or 'gone'}"
        for row in compare(before, now)
        if row.stage in way and row.change in (LOOSENED, GONE)
    ]
    old = [gate for each in way for gate in _gates(before, each)]
    return [*said, *_of_rivals(old, before, now), *_of_hypothesis(before, now), *_of_acceptances(before, now),
            *_of_approvals(before, now, way)]  # fmt: skip


def approvals_needed(before: Terms | None, now: Terms, stage: str, is_loose: bool, was_approved: bool) -> int:
    """Return how many approvals it takes to come to a stage.

    What asks for less than of the champion takes one at least, if the file asks for any or asked for any then.

    Args:
        before: The terms by which the champion was judged; None where there is no champion, or they are not known.
        now: The terms of the present task.
        stage: Staging or Production.
        is_loose: Whether something asks for less, or it is not known whether it does.
        was_approved: Whether somebody approved that the champion comes to the stage.
    """
    asked = int(now["approvals"][stage.lower()])
    was_asked = was_approved or bool(before and before["approvals"][stage.lower()])
    return max(asked, 1) if is_loose and (asked or was_asked) else asked


def trust_of(before: Terms | None, now: Terms, stage: str) -> str:
    """Return by what people are told apart when approvals on the way to a stage are counted: verified or local.

    Where the champion needed approvals of people who are verified, who approves less than that has to be verified too.

    Args:
        before: The terms by which the champion was judged; None where there is no champion, or they are not known.
        now: The terms of the present task.
        stage: Staging or Production.
    """
    way = STAGES[: STAGES.index(stage) + 1]
    return VERIFIED if before and _was_verified(before, way) else str(now["approvals"]["trust"])


def _was_verified(before: Terms, way: Sequence[str]) -> bool:
    """Whether the champion needed approvals of people who are verified."""
    old = before["approvals"]
    return old["trust"] == VERIFIED and any(old[stage.lower()] for stage in way)


def in_words(gate: Gate) -> str:
    """Return a gate as its line in the YAML file."""
    said = gate.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{name}: {_word(value)}" for name, value in said.items()) + "}"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_word, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _gates(terms: Terms, stage: str) -> list[Gate]:
    return [Gate.model_validate(values) for values in terms["gates"][stage.lower()]]


def _is_alike(one: Gate, other: Gate) -> bool:
    """Whether two gates are about the same: they differ by their bound and by how sure one has to be, at most."""
    return _subject(one) == _subject(other)


def _subject(gate: Gate) -> dict[str, Any]:
    said = gate.model_dump(exclude_defaults=True, exclude={"point", "min_rows", "slices", "worst"})
    about = {name: True if name in BOUNDS else value for name, value in said.items()}
    if gate.max_drop is not None or gate.min_gain is not None:
        about["against"] = gate.against or "champion"
    return about | {"sliced": bool(gate.slices or gate.worst)}


def _is_as_strict(one: Gate, other: Gate) -> bool:
    """Whether a gate asks for at least as much as another one about the same."""
    for name, higher_is_stricter in BOUNDS.items():
        mine, its = getattr(one, name), getattr(other, name)
        if mine is not None and mine != its and (mine > its) != higher_is_stricter:
            return False
    if one.point and not other.point:
        return False
    if not set(other.slices) <= set(one.slices) or (other.worst or 0) > (one.worst or 0):
        return False
    # A named slice with fewer rows is insufficient; one that is searched for is left out.
    named, searched = other.slices or other.by, other.worst
    return not ((named and one.min_rows < other.min_rows) or (searched and one.min_rows > other.min_rows))


def _of_rivals(old: Sequence[Gate], before: Terms, now: Terms) -> list[str]:
    """What the champion's gates compared with: another rule, cost or metric may be easier to meet."""
    said = []
    rules = [terms["problem"]["rule"] for terms in (before, now)]
    if rules[0] != rules[1] and any("rule" in (gate.beats, gate.against) for gate in old):
        said.append(f"problem.rule: {rules[0]!r}, which the champion had to beat, is {_or_gone(rules[1])}")
    costs = [terms["decision"]["cost"] for terms in (before, now)]
    if costs[0] != costs[1] and any(gate.beats or gate.metric == "cost" for gate in old):
        said.append(f"decision.cost: {_flow(costs[0])}, by which the champion was judged, is {_flow(costs[1])}")
    metrics = [terms["search"]["metric"] for terms in (before, now)]
    if metrics[0] != metrics[1] and any(gate.keeps_up for gate in old):
        said.append(f"search.metric: {metrics[0] or 'unset'}, on which versions keep up, is {metrics[1] or 'unset'}")
    return said


def _of_hypothesis(before: Terms, now: Terms) -> list[str]:
    old, new = (terms["problem"]["hypothesis"] for terms in (before, now))
    if old is None:
        return []
    rises = METRICS[old["metric"]].higher_is_better
    is_kept = new is not None and new["metric"] == old["metric"] and (
        new["minimum"] >= old["minimum"] if rises else new["minimum"] <= old["minimum"]
    )  # fmt: skip
    stated = f"{new['metric']} {new['minimum']:g}" if new else "gone"
    return [] if is_kept else [f"problem.hypothesis: {old['metric']} {old['minimum']:g} of the champion is {stated}"]


def _of_acceptances(before: Terms, now: Terms) -> list[str]:
    given = [{(each.gate, each.subject) for each in _accepted(terms)} for terms in (before, now)]
    return [
        f"gates.accept: {gate}{'' if subject == gate else f' {subject}'} is accepted, which it was not of the champion"
        for gate, subject in sorted(given[1] - given[0])
    ]


def _accepted(terms: Terms) -> list[Acceptance]:
    return [Acceptance.model_validate(values) for values in terms["gates"]["accept"]]


def _of_approvals(before: Terms, now: Terms, way: Sequence[str]) -> list[str]:
    old, new = before["approvals"], now["approvals"]
    said = [
        f"approvals.{stage.lower()}: {old[stage.lower()]} of the champion is {new[stage.lower()]}"
        for stage in way
        if new[stage.lower()] < old[stage.lower()]
    ]
    return said + (["approvals.trust: verified of the champion is local"]
                   if new["trust"] != VERIFIED and _was_verified(before, way)
                   else [])  # fmt: skip


def _or_gone(text: str | None) -> str:
    return "gone" if text is None else repr(text)


def _flow(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value:g}" for name, value in values.items()) + "}"
