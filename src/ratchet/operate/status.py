"""What is where: versions, stages, aliases, metrics and the last runs of a task."""

from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.adapters import records, registry
from ratchet.adapters.registry import Version
from ratchet.core.ledger import Entry
from ratchet.errors import ServerError
from ratchet.steps import chronicle, moves, withdrawals
from ratchet.steps.session import Session

MOST_RUNS = 10_000  # of evaluate that are looked at together


def status(session: Session) -> dict[str, Any]:
    """Return the versions of the task's model, newest first, with their test metrics, and its last runs."""
    task, entries = session.task.name, _entries(session)
    versions = registry.versions(session.client, task)
    figures = _metrics_of(session, versions)
    return {
        "task": task,
        "versions": [
            {
                "version": version.number,
                "stage": version.stage,
                "aliases": list(version.aliases),
                "model_uri": version.uri,
                "updated_ms": version.updated_ms,
                "commit": version.tags.get("ratchet.commit", "unknown"),
                "told": version.tags.get(moves.TOLD, ""),
                "metrics": figures.get(version.tags.get("ratchet.evaluate_run", ""), {}),
            }
            for version in versions
        ],
        "runs": records.last_runs(session.client, task),
        "vacancy": withdrawals.vacancy_sentence(entries or []),
        "past_the_ledger": [found.text for found in moves.drift(session, entries)] if entries is not None else [],
    }


def _entries(session: Session) -> list[Entry] | None:
    """Return the task's ledger; None where it is not known, as for whoever has no account there."""
    settings = session.settings
    if settings.tracking_uri.startswith("http") and chronicle.is_own(settings):
        return None
    try:
        return chronicle.entries(session)
    except ServerError as error:
        session.progress.note(f"the ledger was not asked: {error}")
        return None


def _metrics_of(session: Session, versions: Sequence[Version]) -> dict[str, dict[str, float]]:
    """Return the metrics of the versions' evaluate runs, by run: asked for together, since versions may be hundreds."""
    wanted = {version.tags["ratchet.evaluate_run"] for version in versions if "ratchet.evaluate_run" in version.tags}
    condition = f"tags.`{records.TASK}` = '{session.task.name}' and tags.`{records.STEP}` = 'evaluate'"
    runs = records.find(session.client, condition, MOST_RUNS) if wanted else []
    found = {run.info.run_id: _on_test(run.data.metrics) for run in runs if run.info.run_id in wanted}
    return found | {run_id: metrics(session, run_id) for run_id in wanted - found.keys()}


def metrics(session: Session, run_id: str | None) -> dict[str, float]:
    """Return the metrics on test that an evaluate run found, by name; none without a run."""
    return _on_test(session.client.get_run(run_id).data.metrics) if run_id else {}


def _on_test(found: Mapping[str, float]) -> dict[str, float]:
    plain = {name.removeprefix("test_"): value for name, value in found.items() if name.startswith("test_")}
    return {name: value for name, value in plain.items() if not name.endswith(("_low", "_high"))}
