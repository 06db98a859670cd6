"""The ledger becomes a chain: entries numbered, hashed, signed, and never changed.

What was written before had neither; where there is any it stays, as `ledger_0001`, and the first
`ratchet reconcile --adopt` puts on the new one where the versions are.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

TEXTS = ("at", "task", "action", "phase", "from_stage", "to_stage", "why", "role", "account", "person", "host",
         "author", "evidence", "gates", "manifest", "code", "data", "key", "signature")  # fmt: skip

SQLITE = [
    f"CREATE TRIGGER ledger_no_{verb.lower()} BEFORE {verb} ON ledger BEGIN"
    " SELECT RAISE(ABORT, 'the ledger is only appended to'); END"
    for verb in ("UPDATE", "DELETE")
]
# The order is held by the database itself, and so is who wrote when: a client may not say otherwise.
POSTGRES = [
    """
    CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN RAISE EXCEPTION 'the ledger is only appended to' USING ERRCODE = 'insufficient_privilege'; END $$
    """,
    """
    CREATE TRIGGER ledger_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()
    """,
    r"""
    CREATE FUNCTION ledger_next() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE newest record;
    BEGIN
      SELECT sequence, hash INTO newest FROM public.ledger ORDER BY sequence DESC LIMIT 1;
      IF NEW.sequence <> coalesce(newest.sequence, 0) + 1 OR NEW.previous <> coalesce(newest.hash, repeat('0', 64)) THEN
        RAISE EXCEPTION 'entry % does not follow the newest one', NEW.sequence USING ERRCODE = 'unique_violation';
      END IF;
      IF NEW.role <> session_user THEN
        RAISE EXCEPTION 'role is %, not %', session_user, NEW.role;
      END IF;
      IF NEW.at !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$' THEN
        RAISE EXCEPTION 'at is not a time of its form: %', NEW.at;
      END IF;
      IF abs(extract(epoch FROM clock_timestamp() - NEW.at::timestamptz)) > 60 THEN
        RAISE EXCEPTION 'at is not now: %', NEW.at;
      END IF;
      RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER ledger_in_order BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_next()",
]


def upgrade() -> None:
    """Put the old table aside if it holds anything, make the new one with what guards it."""
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT count(*) FROM ledger")).scalar():
        op.rename_table("ledger", "ledger_0001")
        if connection.dialect.name == "postgresql":
            op.execute("ALTER INDEX ledger_pkey RENAME TO ledger_0001_pkey")
            op.execute("REVOKE ALL ON ledger_0001 FROM PUBLIC")
    else:
        op.drop_table("ledger")
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "ledger",
        sa.Column("sequence", number, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("replaced", sa.Integer),
        sa.Column("intent", number, unique=True),  # an intent ends once
        *(sa.Column(name, sa.Text, nullable=False) for name in TEXTS),
        sa.Column("previous", sa.Text, nullable=False, unique=True),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
    )
    known = sa.ForeignKey("ledger.sequence")
    op.create_table("deliveries", sa.Column("sequence", number, known, primary_key=True, autoincrement=False))
    for statement in POSTGRES if connection.dialect.name == "postgresql" else SQLITE:
        op.execute(statement)
