"""Step 4: register the judged model, hold it against the gates, and move it through the stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ratchet.adapters import registry, schema
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.core import gates, history
from ratchet.core.gates import Verdict
from ratchet.core.ledger import Change, Entry
from ratchet.errors import GateRefused
from ratchet.stages import ARCHIVED, NONE, PRODUCTION, PROMOTE, STAGING
from ratchet.steps import chronicle, evaluate, judge, moves, train
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.inputs import key_of
from ratchet.steps.session import Session

Target = Literal["staging", "production"]
GATES = "ratchet.gates"  # tag of a version: the digest of its newest gate report


@dataclass(frozen=True)
class Promoted:
    """Where a version came to, what each gate said on the way (stage -> verdicts), and whether it was moved."""

    run_id: str
    version: Version
    verdicts: Mapping[str, list[Verdict]]
    moved: bool


@dataclass(frozen=True)
class Asked:
    """What is asked: how far, why (it goes on the ledger), and which version (None: the model of this task's train).

    claim: called under the lock right before a move to Production; it raises where that must not happen any more.
    """

    to: Target = "production"
    why: str = ""
    number: int | None = None
    claim: Callable[[], None] = lambda: None


def promote(session: Session, asked: Asked, parent: Run | None = None) -> Promoted:
    """Register the model of evaluate and move it: None -> Staging -> Production, as far as is asked.

    Raises GateRefused with every reason; the version stays where it was allowed to come.
    """
    with session.opened("promote", parent) as run:
        with moves.begun(session, run) as board:  # what stands in the way anyhow is told before the work
            if (known := moves.by_number(session).get(asked.number or 0)) and known.stage == ARCHIVED:
                moves.require_allowed(known, PROMOTE, STAGING, board.entries)
        evaluated = judged(session, asked, parent or run)
        session.progress.step("promote", "running")
        stages = judge.WAY[asked.to]
        verdicts = judge.judge(session, run, evaluated, stages)
        with moves.begun(session, run) as board:
            case = _Case(session, run, evaluated, verdicts, asked)
            version = case.registered()
            moves.require_champion(version, (evaluated.report["champion"] or {}).get("version"), board.entries)
            run.set_tags({"ratchet.version": version.number, "ratchet.model_uri": version.uri})
            before = version.stage
            for stage in stages:
                version = case.brought(version, stage, board.entries)
        session.progress.step("promote", "done")
        return Promoted(run.id, version, verdicts, version.stage != before)


def judged(session: Session, asked: Asked, parent: Run | None = None) -> Evaluated:
    """Return what evaluate found of the model that is asked about.

    Raises RatchetError if there is no such version.
    """
    version = registry.numbered(session.client, session.task.name, asked.number) if asked.number else None
    return evaluate.evaluate(session, parent, version)


def explained(session: Session, asked: Asked) -> Mapping[str, list[Verdict]]:
    """Return what the gates on the way say; nothing is registered or moved."""
    return judge.judge(session, None, judged(session, asked), judge.WAY[asked.to])


def _asked(session: Session, stage: str) -> Sequence[Any]:
    return session.task.gates.staging if stage == STAGING else session.task.gates.production


@dataclass(frozen=True)
class _Case:
    """What speaks for a version on its way."""

    session: Session
    run: Run
    evaluated: Evaluated
    verdicts: Mapping[str, list[Verdict]]
    asked: Asked

    def registered(self) -> Version:
        """Return the version of the judged model, registered if it is not; what was judged last stands on it."""
        session, evaluated = self.session, self.evaluated
        version = _register(session, evaluated)
        model = chronicle.model_of(session, version)
        judged = {f"evaluation.json of run {evaluated.run_id}": evaluated.report["manifest"]}
        with session.fetched(replace(model, claims={**model.claims, **judged})):
            pass  # it is, file by file, the model that was judged
        tags = {evidence_tag(stage): self.evidence(version, stage) for stage in self.verdicts}
        report = f"#/experiments/{self.run.experiment_id}/runs/{self.run.id}/artifacts"
        tags |= {GATES: key_of((), gates.as_json(self.verdicts)), "ratchet.evaluate_run": evaluated.run_id,
                 moves.REPORT: report}  # fmt: skip
        registry.tagged(session.client, version, tags)
        return registry.numbered(session.client, version.name, version.number)

    def evidence(self, version: Version, stage: str) -> str:
        """Return the digest of all that a decision on the stage rests on; an approval expires with any of it."""
        champion = (self.evaluated.report["champion"] or {}).get("version")
        asked = [gate.model_dump() for gate in _asked(self.session, stage)]
        origin = {name: version.tags.get(name, "") for name in train.ORIGIN}
        task = self.session.task.model_dump(include={"problem", "decision", "approvals"})
        return key_of((), champion, asked, origin, task)

    def brought(self, version: Version, stage: str, entries: Sequence[Entry]) -> Version:
        """Return the version in the stage, moved there if its gates and approvals open it and it is not there yet."""
        if version.stage == PRODUCTION and stage == PRODUCTION:
            return version
        session = self.session
        if not gates.opens(self.verdicts[stage]):
            raise self.refused(version, stage, _reasons(self.verdicts[stage]))
        if version.stage in (stage, PRODUCTION):
            return version
        moves.require_allowed(version, PROMOTE, stage, entries)
        if lacking := self.unapproved(version, stage, entries):
            raise self.refused(version, stage, lacking)
        if not schema.state(session.settings).may_promote:
            # By its number: without it the promoter's command would train the file's model anew.
            told = NO_PROMOTER.replace("-c FILE", f"-c FILE --version {version.number}")
            raise self.refused(version, stage, told)
        change = moves.change_of(version, PROMOTE, stage, entries, self.asked.why)
        if stage == PRODUCTION:
            self.asked.claim()
        moves.made(session, self.run, version, with_evidence(change, version, self.evidence(version, stage)))
        return registry.numbered(session.client, version.name, version.number)

    def unapproved(self, version: Version, stage: str, entries: Sequence[Entry]) -> str:
        """Return what is lacking of the approvals that the task asks for; empty if nothing is."""
        needed = getattr(self.session.task.approvals, stage.lower())
        said = history.approvals(entries, version.number, stage, self.evidence(version, stage))
        if said.refused_by:
            return f"{' and '.join(said.refused_by)} refused it; their approval of it would lift that"
        if len(said.by) >= needed:
            return ""
        expired = f", {', '.join(said.expired)} approved what has changed since" if said.expired else ""
        types = f"`ratchet approve {version.number} -c FILE --comment …`"
        return f"approvals {len(said.by)} of {needed}{expired}; somebody who did not train it types {types}"

    def refused(self, version: Version, stage: str, reasons: str) -> GateRefused:
        """Return the refusal, with what was judged."""
        where = "was registered" if version.stage == NONE else f"stays in {version.stage}"
        text = f"{version.name} version {version.number} {where}; {stage} refused: {reasons}"
        return GateRefused(text, self.evaluated.report, gates.as_json(self.verdicts))


NO_PROMOTER = (
    "your role in RATCHET_DATABASE_URL may not append to the ledger; ask somebody with ratchet_promoter to type"
    " `ratchet promote -c FILE`"
)


def evidence_tag(stage: str) -> str:
    """Return the tag of a version that holds the digest of what was judged for a stage."""
    return f"ratchet.evidence.{stage.lower()}"


def with_evidence(change: Change, version: Version, evidence: str) -> Change:
    """Return the change with what it rests on."""
    return replace(change, evidence=evidence, gates=version.tags.get(GATES, ""))


def _reasons(verdicts: Sequence[Verdict]) -> str:
    closed = [verdict for verdict in verdicts if verdict.verdict != gates.PASS]
    return "; ".join(f"{verdict.sentence} ({verdict.verdict})" for verdict in closed)


def _register(session: Session, evaluated: Evaluated) -> Version:
    task = session.task
    figures = ", ".join(f"{name} {value:.4f}" for name, value in list(evaluated.report["metrics"].items())[:4])
    made = session.client.get_run(evaluated.trained.run_id).data.tags
    question = task.problem.question or f"{task.name}."
    description = f"{question} On {evaluated.report['rows']:,} test rows: {figures}."
    about = {
        "description": description,
        "tags": {
            "ratchet.task": task.name,
            **{name: made[name] for name in train.ORIGIN if name in made},
            "ratchet.train_run": evaluated.trained.run_id,
            "ratchet.evaluate_run": evaluated.run_id,
            moves.ABOUT: description,
        },
    }
    uri, run_id = evaluated.trained.model_uri, evaluated.trained.run_id
    return session.patience.call(
        lambda: registry.register(session.client, task.name, uri, run_id, about), session.spool.server
    )


def as_json(promoted: Promoted) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "run_id": promoted.run_id,
        "model_uri": promoted.version.uri,
        "version": promoted.version.number,
        "stage": promoted.version.stage,
        "moved": promoted.moved,
        "gates": gates.as_json(promoted.verdicts),
    }
