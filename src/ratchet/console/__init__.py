"""What a person sees: progress on stderr while it works, tables on stdout at the end."""

from ratchet.console.progress import Live, Quiet
from ratchet.console.results import at, gates, ledger, plan, prepared, pruned, report, rollout, status, why, yardstick
from ratchet.console.words import as_json, duration, fault, figure, finding, note, say, size, table, text

__all__ = [
    "Live", "Quiet", "as_json", "at", "duration", "fault", "figure", "finding", "gates", "ledger", "note", "plan",
    "prepared", "pruned", "report", "rollout", "say", "size", "status", "table", "text", "why", "yardstick",
]  # fmt: skip
