"""The stages of a version, the alias that goes with each, and the moves between them that are allowed."""

from collections.abc import Mapping

NONE, STAGING, PRODUCTION, ARCHIVED = "None", "Staging", "Production", "Archived"
CHALLENGER, CHAMPION = "challenger", "champion"
ALIASES: Mapping[str, str] = {STAGING: CHALLENGER, PRODUCTION: CHAMPION}  # one version at a time is in each of these
PROMOTE, ROLLBACK, REVERT, ADOPT, APPROVE, REFUSE = "promote", "rollback", "revert", "adopt", "approve", "refuse"
WITHDRAW = "withdraw"  # the champion leaves Production, and nothing takes its place

# Which command makes a move. A version that was champion comes back by `rollback` alone; a challenger that another
# one took the place of may try again.
MOVES: Mapping[tuple[str, str], str] = {
    (NONE, STAGING): PROMOTE,
    (STAGING, PRODUCTION): PROMOTE,
    (ARCHIVED, STAGING): PROMOTE,
    (ARCHIVED, PRODUCTION): ROLLBACK,
    (PRODUCTION, ARCHIVED): WITHDRAW,
}

# What a rollout puts on the ledger; no version moves by it.
ROLLOUT = "rollout"
ROLLOUT_ACTIONS: Mapping[str, str] = {
    word: f"rollout-{word}" for word in ("start", "step", "pause", "resume", "abort", "done")
}
