"""What is where: versions, stages, aliases, metrics and the last runs of a task."""

from typing import Any

from ratchet.adapters import records, registry
from ratchet.core.ledger import Entry
from ratchet.errors import ServerError
from ratchet.steps import chronicle, moves, withdrawals
from ratchet.steps.session import Session


def status(session: Session) -> dict[str, Any]:
    """Return the versions of the task's model, newest first, with their test metrics, and its last runs."""
    task, entries = session.task.name, _entries(session)
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
                "metrics": metrics(session, version.tags.get("ratchet.evaluate_run")),
            }
            for version in registry.versions(session.client, task)
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


def metrics(session: Session, run_id: str | None) -> dict[str, float]:
    """Return the metrics on test that an evaluate run found, by name; none without a run."""
    if not run_id:
        return {}
    found = session.client.get_run(run_id).data.metrics
    plain = {name.removeprefix("test_"): value for name, value in found.items() if name.startswith("test_")}
    return {name: value for name, value in plain.items() if not name.endswith(("_low", "_high"))}
