"""The gates of a version beside those under which the champion came, from the ledger and the run that wrote there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ratchet.adapters import records
from ratchet.adapters.registry import Version
from ratchet.core import history, yardstick
from ratchet.core.gates import Verdict
from ratchet.core.ledger import Entry
from ratchet.core.yardstick import Row
from ratchet.errors import RatchetError
from ratchet.stages import APPROVE, PRODUCTION, STAGING
from ratchet.steps import chronicle, moves, train
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.inputs import key_of
from ratchet.steps.session import Session

FILE = "terms.json"  # of a promote run: all that decides, and what of it asks for less than it did of the champion
JUDGED_IN = "ratchet.promote_run"  # tag of a version: the run in which its gates were judged last
BASIS = ("terms", "champion", "loosened", "accepted", "needed", "trust", "unknown")  # what a decision rests on
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Yardstick:
    """By what a version is judged.

    terms: the task's, as plain values; champion: the version that it is compared with, which is the one that left
    Production empty where nothing is there, and None where nothing ever was; rows: each gate beside the champion's;
    loosened: stage -> what asks for less than it did of the champion; accepted: what is let pass, with the reason;
    needed: stage -> approvals that it takes; trust: stage -> by what people are told apart when these are counted;
    unknown: why the champion's gates are not known, empty if they are.
    """

    terms: Mapping[str, Any]
    champion: int | None
    rows: Sequence[Row]
    loosened: Mapping[str, Sequence[str]]
    accepted: Sequence[str]
    needed: Mapping[str, int]
    trust: Mapping[str, str]
    unknown: str

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        found = asdict(self)
        return {**found, "rows": list(found["rows"])}

    def remarks(self, stage: str) -> list[str]:
        """Return what goes on the ledger with a move to the stage, beside its reason."""
        unknown = [f"the champion's gates are not known: {self.unknown}"] if self.unknown else []
        return [*self.accepted, *(f"loosened {text}" for text in self.loosened[stage]), *unknown]


def beside_champion(
    session: Session, evaluated: Evaluated, verdicts: Mapping[str, Sequence[Verdict]], entries: Sequence[Entry]
) -> Yardstick:
    """Return by what a version is judged, beside that by which the champion was.

    Args:
        session: Of the task.
        evaluated: The judged version.
        verdicts: What its gates say, by stage.
        entries: The task's ledger.
    """
    terms = yardstick.terms_of(session.task)
    about = evaluated.report["champion"]
    champion, nobody = _compared_with(entries)
    before, unknown = _terms_of_champion(session, champion, entries)
    loosened: dict[str, list[str]] = {stage: [] for stage in (STAGING, PRODUCTION)}
    if before and champion:
        loosened = {stage: yardstick.loosened(before, terms, stage, champion) for stage in loosened}
    nobody = nobody or (about["reason"] if about else "")
    if nobody and any(gate.keeps_up for gate in session.task.gates.production):
        loosened[PRODUCTION].append(f"gates.production: {{keeps_up: champion}} compares with nobody: {nobody}")
    needed = {
        stage: yardstick.approvals_needed(
            before, terms, stage, bool(loosened[stage] or unknown), _was_approved(champion, stage, entries)
        )
        for stage in loosened
    }
    trust = {stage: yardstick.trust_of(before, terms, stage) for stage in loosened}
    accepted = [f"accepted {each.kind} {each.subject}".removesuffix(" hypothesis") + f": {each.accepted}"
                for judged in verdicts.values() for each in judged if each.accepted]  # fmt: skip
    rows = yardstick.compare(before, terms) if before else []
    return Yardstick(terms, champion, rows, loosened, list(dict.fromkeys(accepted)), needed, trust, unknown)


def _compared_with(entries: Sequence[Entry]) -> tuple[int | None, str]:
    """Return the version whose terms are the measure, and why no version can be compared with, empty if one can.

    A withdrawal leaves nobody in Production; it takes nothing from what was asked of the version that was there.
    """
    if (champion := moves.champion(entries)) is not None:
        return champion, ""
    if emptied := history.vacancy(entries):
        number = emptied.change.version
        return number, f"nothing is in Production since version {number} left it"
    return None, ""


def evidence_of(report: Report, version: Version, stage: str) -> str:
    """Return the digest of all that a decision on a stage rests on; an approval expires with any of it.

    Args:
        report: A yardstick, as plain values.
        version: With the tags that say what it was made of.
        stage: That it is to enter.
    """
    origin = {name: version.tags.get(name, "") for name in train.ORIGIN}
    basis = {name: report.get(name) for name in BASIS}
    return key_of((), stage, basis, origin)


def on_record(session: Session, version: Version, stage: str, evidence: str) -> Report:
    """Return the yardstick by which a version was judged last for a stage, for a reviewer to see.

    Raises RatchetError if it is not there or is not what the version says: a reviewer would see something else.
    """
    run_id = version.tags.get(JUDGED_IN, "")
    report = records.read_json_if_there(session.client, run_id, FILE) if run_id else None
    if not isinstance(report, dict) or evidence_of(report, version, stage) != evidence:
        raise RatchetError(
            f"{version.name} version {version.number}: by which gates it was judged is not on record, or was changed;"
            f" `ratchet promote -c FILE --version {version.number}` judges it again"
        )
    return report


def digest_of(rows: Sequence[Any], report: Report) -> str:
    """Return the digest of a gate report and of the terms that it was made by, which the ledger holds."""
    return key_of((), rows, report)


def _terms_of_champion(
    session: Session, champion: int | None, entries: Sequence[Entry]
) -> tuple[Mapping[str, Any] | None, str]:
    """Return the terms by which the champion was judged, for which the ledger vouches; else why they are not known."""
    if champion is None:
        return None, ""
    entry = history.promotion(entries, champion)
    if entry is None:
        return None, f"version {champion} did not come to Production through gates"
    for sequence in (entry.sequence, entry.intent):
        wrote = f"tags.`{chronicle.HEAD}` LIKE '{sequence} %'"
        for run in records.find(session.client, wrote, chronicle.MOST_FOLDERS):
            rows = records.read_json_if_there(session.client, run.info.run_id, "gates.json")
            report = records.read_json_if_there(session.client, run.info.run_id, FILE)
            if report and digest_of(rows, report) == entry.change.gates:
                terms: Mapping[str, Any] = report["terms"]
                return terms, ""
    return None, f"the run that brought version {champion} to Production has no record of them, or a changed one"


def _was_approved(champion: int | None, stage: str, entries: Sequence[Entry]) -> bool:
    """Whether somebody approved that the champion comes to a stage, by the ledger: so its task asked for it."""
    return any(
        (entry.change.action, entry.change.version, entry.change.to_stage) == (APPROVE, champion, stage)
        for entry in entries
    )
