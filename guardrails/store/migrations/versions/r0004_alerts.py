"""Alerts in full, those that are shown to readers, and what persons ask in an app that only reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "answers",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("book", sa.String(length=16), nullable=False),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["book"], ["books.book"], name="fk_answers_book_books"),
        sa.PrimaryKeyConstraint("key", name="pk_answers"),
    )
    op.create_table(
        "requests",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("book", sa.String(length=16), nullable=False),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("valid_until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["book"], ["books.book"], name="fk_requests_book_books"),
        sa.PrimaryKeyConstraint("key", name="pk_requests"),
    )
    op.create_index("ix_requests_book_taken_by", "requests", ["book", "taken_by"], unique=False)
    op.add_column("latest", sa.Column("alerts", sa.LargeBinary(), nullable=True))
    op.add_column("alerts", sa.Column("words", sa.Text(), nullable=True))
    op.add_column("alerts", sa.Column("fired", sa.BigInteger(), autoincrement=False, nullable=True))
    op.add_column("alerts", sa.Column("times_told", sa.Integer(), nullable=True))
    op.add_column("alerts", sa.Column("acted", sa.SmallInteger(), nullable=True))
