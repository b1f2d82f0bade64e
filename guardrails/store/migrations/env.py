"""Alembic's entry: run the steps on the connection, and inside the transaction, that the caller gave."""

from __future__ import annotations

from alembic import context

from guardrails.store.metadata import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
