"""Step 4: register the judged model, hold it against the gates, and move it through the stages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ratchet.adapters import registry, schema
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.core import findings, gates, history
from ratchet.core.gates import Verdict
from ratchet.core.ledger import Change, Entry
from ratchet.errors import GateRefused
from ratchet.stages import ARCHIVED, NONE, PRODUCTION, PROMOTE, STAGING
from ratchet.steps import chronicle, describe, evaluate, judge, moves, train, withdrawals, yardstick
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.session import Session
from ratchet.steps.yardstick import Yardstick

Target = Literal["staging", "production"]
VALIDATION, PENDING, APPROVED, FAILED = "validation_status", "pending", "approved", "failed"  # MLflow's own words
GATES = "ratchet.gates"  # tag of a version: the digest of its newest gate report
MOST_TOLD = 2_000  # characters of a tag


@dataclass(frozen=True)
class Promoted:
    """Where a version came to, what each gate said on the way (stage -> verdicts), and whether it was moved.

    yardstick: by what it was judged, beside that by which the champion was.
    """

    run_id: str
    version: Version
    verdicts: Mapping[str, list[Verdict]]
    moved: bool
    yardstick: Yardstick


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
                withdrawals.require_not_withdrawn(session, known, board.entries, is_named=True)
                moves.require_allowed(known, PROMOTE, STAGING, board.entries)
        evaluated = judged(session, asked, parent or run)
        session.progress.step("promote", "running")
        stages = judge.WAY[asked.to]
        verdicts = judge.judge(session, run, evaluated, stages)
        with moves.begun(session, run) as board:
            beside = yardstick.beside_champion(session, evaluated, verdicts, board.entries)
            run.log_json(beside.as_json(), yardstick.FILE)
            case = _Case(session, run, evaluated, verdicts, asked, beside)
            version = case.registered()
            moves.require_champion(version, (evaluated.report["champion"] or {}).get("version"), board.entries)
            run.set_tags({"ratchet.version": version.number, "ratchet.model_uri": version.uri})
            before, is_named = version.stage, asked.number is not None and bool(asked.why.strip())
            withdrawals.require_not_withdrawn(session, version, board.entries, is_named)
            for stage in stages:
                version = case.brought(version, stage, board.entries)
        registry.tagged(session.client, version, {VALIDATION: APPROVED})
        describe.promote_run(run, describe.of_move(version, gates.as_json(verdicts)))
        session.progress.step("promote", "done")
        return Promoted(run.id, version, verdicts, version.stage != before, beside)


def judged(session: Session, asked: Asked, parent: Run | None = None) -> Evaluated:
    """Return what evaluate found of the model that is asked about.

    Raises RatchetError if there is no such version.
    """
    version = registry.numbered(session.client, session.task.name, asked.number) if asked.number else None
    return evaluate.evaluate(session, parent, version)


def explained(session: Session, asked: Asked) -> tuple[Mapping[str, list[Verdict]], Yardstick]:
    """Return what the gates on the way say, and beside what; nothing is registered or moved."""
    evaluated = judged(session, asked)
    verdicts = judge.judge(session, None, evaluated, judge.WAY[asked.to])
    return verdicts, yardstick.beside_champion(session, evaluated, verdicts, chronicle.entries(session))


@dataclass(frozen=True)
class _Case:
    """What speaks for a version on its way."""

    session: Session
    run: Run
    evaluated: Evaluated
    verdicts: Mapping[str, list[Verdict]]
    asked: Asked
    yardstick: Yardstick

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
        rows, terms = gates.as_json(self.verdicts), self.yardstick.as_json()
        tags |= self.validation(version)
        tags |= {GATES: yardstick.digest_of(rows, terms), "ratchet.evaluate_run": evaluated.run_id,
                 yardstick.JUDGED_IN: self.run.id, moves.REPORT: report, moves.TOLD: self.told()}  # fmt: skip
        registry.tagged(session.client, version, tags)
        return registry.numbered(session.client, version.name, version.number)

    def validation(self, version: Version) -> dict[str, str]:
        """Return MLflow's tag for a version before it moves; it is approved once it is where it was to go."""
        said = {verdict.verdict for judged in self.verdicts.values() for verdict in judged}
        if said <= {gates.PASS} and VALIDATION in version.tags and version.tags[VALIDATION] != FAILED:
            return {}
        return {VALIDATION: FAILED if gates.FAIL in said else PENDING}

    def told(self) -> str:
        """Return what people should see of the version: what was found, accepted or not, and what was loosened."""
        stage = list(self.verdicts)[-1]
        found = [verdict.sentence for verdict in self.verdicts[stage]
                 if verdict.kind in (findings.LEAK, findings.HYPOTHESIS) and verdict.subject
                 and (verdict.accepted or verdict.verdict != gates.PASS)]  # fmt: skip
        return "; ".join([*found, *(f"loosened {text}" for text in self.yardstick.loosened[stage])])[:MOST_TOLD]

    def evidence(self, version: Version, stage: str) -> str:
        """Return the digest of all that a decision on the stage rests on; an approval expires with any of it."""
        return yardstick.evidence_of(self.yardstick.as_json(), version, stage)

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
        why = "; ".join(filter(None, [self.asked.why, *self.yardstick.remarks(stage)]))
        change = moves.change_of(version, PROMOTE, stage, entries, why)
        if stage == PRODUCTION:
            self.asked.claim()
        moves.made(session, self.run, version, with_evidence(change, version, self.evidence(version, stage)))
        return registry.numbered(session.client, version.name, version.number)

    def unapproved(self, version: Version, stage: str, entries: Sequence[Entry]) -> str:
        """Return what is lacking of the approvals that the task asks for; empty if nothing is."""
        needed, trust = self.yardstick.needed[stage], self.yardstick.trust[stage]
        evidence = self.evidence(version, stage)
        said = history.approvals(entries, version.number, stage, evidence, trust)
        if said.refused_by:
            return f"{' and '.join(said.refused_by)} refused it; their approval of it would lift that"
        if len(said.by) >= needed:
            return ""
        expired = f", {', '.join(said.expired)} approved what has changed since" if said.expired else ""
        unverified = f", {', '.join(said.unverified)} unverified: {UNVERIFIED}" if said.unverified else ""
        loose = "; ".join(self.yardstick.loosened[stage]) or self.yardstick.unknown
        why = f", one of them for what asks for less than of the champion ({loose})" if loose else ""
        types = f"`ratchet approve {version.number} -c FILE --comment …`"
        count = f"approvals {len(said.by)} of {needed}"
        return f"{count}{why}{expired}{unverified}; somebody who did not train it types {types}"

    def refused(self, version: Version, stage: str, reasons: str) -> GateRefused:
        """Return the refusal, with what was judged."""
        where = "was registered" if version.stage == NONE else f"stays in {version.stage}"
        text = f"{version.name} version {version.number} {where}; {stage} refused: {reasons}"
        refusal = GateRefused(text, self.evaluated.report, gates.as_json(self.verdicts), self.yardstick.as_json())
        describe.promote_run(self.run, describe.of_refusal(refusal))
        return refusal


UNVERIFIED = (
    "it counts from an account of the tracking server (MLFLOW_TRACKING_USERNAME) or a PostgreSQL role of one's own, or"
    " where the task says approvals: {trust: local}"
)
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
    made = session.client.get_run(evaluated.trained.run_id).data.tags
    about = {
        "description": describe.version_text(task, evaluated.report),
        "of_model": describe.model_text(task),
        "tags": {
            "ratchet.task": task.name,
            **{name: made[name] for name in train.ORIGIN if name in made},
            "ratchet.train_run": evaluated.trained.run_id,
            "ratchet.evaluate_run": evaluated.run_id,
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
        "yardstick": promoted.yardstick.as_json(),
    }
