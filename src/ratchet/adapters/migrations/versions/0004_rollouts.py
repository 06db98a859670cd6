"""Rollouts: where each is, what it was judged by, what was done and why.

Revision ID: 0004
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """Make the three tables; of a task one rollout at a time is open, which the database itself holds to."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def text(name: str) -> "sa.Column[Any]":
        return sa.Column(name, sa.Text, nullable=False, server_default="")

    def whole(name: str) -> "sa.Column[Any]":
        return sa.Column(name, sa.Integer, nullable=False)

    op.create_table(
        "rollouts",
        sa.Column("id", number, primary_key=True),
        text("task"),
        whole("champion"),
        whole("challenger"),
        *(text(name) for name in ("terms", "salt", "by", "run", "started_at")),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        text("state"),
        sa.Column("percent", sa.Double, nullable=False),
        *(text(name) for name in ("share_since", "judged", "verdict", "reasons", "updated_at")),
        sa.Column("ledger_seen", sa.BigInteger, nullable=False, server_default="-1"),
        *(text(name) for name in ("silence", "silence_at")),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("state NOT IN ('aborted', 'done')")
    op.create_index("rollouts_open", "rollouts", ["task"], unique=True, sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "rollout_steps",
        sa.Column("sequence", number, primary_key=True),
        sa.Column("rollout", sa.BigInteger, nullable=False),
        text("at"),
        text("action"),
        sa.Column("percent", sa.Double, nullable=False),
        *(text(name) for name in ("why", "by")),
        sa.Column("entry", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("rollout_steps_of", "rollout_steps", ["rollout", "sequence"])
    op.create_table(
        "rollout_looks",
        sa.Column("sequence", number, primary_key=True),
        sa.Column("rollout", sa.BigInteger, nullable=False),
        text("at"),
        sa.Column("percent", sa.Double, nullable=False),
        whole("champion_rows"),
        whole("challenger_rows"),
        *(sa.Column(name, sa.Double) for name in ("difference", "low", "high")),
        text("verdict"),
        sqlite_autoincrement=True,
    )
    op.create_index("rollout_looks_of", "rollout_looks", ["rollout", "sequence"])
