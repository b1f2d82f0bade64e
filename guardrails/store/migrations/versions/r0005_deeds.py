"""Orders, fills, overrides, safety and journal as whole values, flatten runs, and what readers are shown of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "flatten_runs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("book", sa.String(length=16), nullable=False),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flatten", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["book"], ["books.book"], name="fk_flatten_runs_book_books"),
        sa.PrimaryKeyConstraint("id", name="pk_flatten_runs"),
        sa.UniqueConstraint("run", "number", name="uq_flatten_runs_run_number"),
    )
    op.create_index("ix_flatten_runs_book_time", "flatten_runs", ["book", "time"], unique=False)
    op.create_index("ix_flatten_runs_book_flatten_id", "flatten_runs", ["book", "flatten", "id"], unique=False)
    for table in ("safety_changes", "orders", "fills", "journal", "overrides", "answers"):
        op.add_column(table, sa.Column("content", sa.Text(), nullable=True))
    op.add_column("orders", sa.Column("changed", sa.BigInteger(), autoincrement=False, nullable=True))
    op.add_column("fills", sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column("journal", sa.Column("entry", sa.Text(), nullable=True))
    op.add_column("journal", sa.Column("done", sa.BigInteger(), autoincrement=False, nullable=True))
    op.create_index("ix_journal_book_entry_id", "journal", ["book", "entry", "id"], unique=False)
    op.add_column("latest", sa.Column("orders", sa.LargeBinary(), nullable=True))
