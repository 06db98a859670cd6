"""Alembic's entry: works on the connection that `schema.migrate` hands over."""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"])
context.run_migrations()
