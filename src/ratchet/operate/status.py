"""What is where: versions, stages, aliases, metrics and the last runs of a task."""

from typing import Any

from ratchet.adapters import records, registry
from ratchet.errors import ServerError
from ratchet.steps import chronicle, moves
from ratchet.steps.session import Session


def status(session: Session) -> dict[str, Any]:
    """Return the versions of the task's model, newest first, with their test metrics, and its last runs."""
    task = session.task.name
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
        "past_the_ledger": _past_the_ledger(session),
    }


def _past_the_ledger(session: Session) -> list[str]:
    """Return what was moved past the ledger; where it is not known, as for whoever has no account there, nothing."""
    settings = session.settings
    if settings.tracking_uri.startswith("http") and chronicle.is_own(settings):
        return []
    try:
        return [found.text for found in moves.drift(session, chronicle.entries(session))]
    except ServerError as error:
        session.progress.note(f"the ledger was not asked: {error}")
        return []


def metrics(session: Session, run_id: str | None) -> dict[str, float]:
    """Return the metrics on test that an evaluate run found, by name; none without a run."""
    if not run_id:
        return {}
    found = session.client.get_run(run_id).data.metrics
    plain = {name.removeprefix("test_"): value for name, value in found.items() if name.startswith("test_")}
    return {name: value for name, value in plain.items() if not name.endswith(("_low", "_high"))}
