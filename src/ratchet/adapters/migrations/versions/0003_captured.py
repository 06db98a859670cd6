"""What was asked and answered, what came true of it, and how much of both was lost.

Revision ID: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    """Make the three tables. Numbers are never used again, also where retention empties one: readers go on by them."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def table(name: str, *columns: "sa.Column[Any]") -> None:
        op.create_table(name, sa.Column("sequence", number, primary_key=True), *columns, sqlite_autoincrement=True)

    def text(name: str, may_be_absent: bool = False) -> "sa.Column[Any]":
        return sa.Column(name, sa.Text, nullable=may_be_absent)

    table(
        "requests",
        *(text(name) for name in ("task", "request_id")),
        sa.Column("row", sa.Integer, nullable=False),
        text("at"),
        text("entity", True),
        sa.Column("version", sa.Integer, nullable=False),
        text("arm"),
        sa.Column("rollout", sa.Integer),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        *(text(name, True) for name in ("inputs", "answer")),
        text("problem"),
    )
    # By the first columns outcomes find their request. A caller may use an id again, but not within a microsecond.
    op.create_index("requests_once", "requests", ["task", "request_id", "row", "arm", "version", "at"], unique=True)
    op.create_index("requests_of_entity", "requests", ["task", "entity", "at"])
    op.create_index("requests_by_time", "requests", ["task", "at"])
    table(
        "outcomes",
        text("task"),
        text("request_id", True),
        sa.Column("row", sa.Integer),
        text("entity", True),
        *(text(name) for name in ("label", "at", "received_at")),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
    )
    # Each holds one kind alone: a planner that knows nothing yet of a new table would take the wrong one.
    for name, column, more in (("outcomes_of_request", "request_id", ["row"]), ("outcomes_of_entity", "entity", [])):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            name, "outcomes", ["task", column, *more, "at"], postgresql_where=where, sqlite_where=where
        )  # fmt: skip
    op.create_index("outcomes_by_time", "outcomes", ["task", "received_at"])
    table(
        "capture_losses",
        *(text(name) for name in ("task", "at")),
        sa.Column("lost", sa.Integer, nullable=False),
        text("why"),
        sa.Column("source", sa.Text, nullable=False, unique=True),
    )
    op.create_index("capture_losses_by_time", "capture_losses", ["task", "at"])
