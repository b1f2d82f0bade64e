"""Whose past it is: the histories in a file that are of this book, and why the others are not.

A person may hand in the file of somebody else's account; it must not become part of this book's past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, union

from guardrails.memory import account_key
from guardrails.past import NetLiquidations
from guardrails.store.books import ONE_BROKER, Book
from guardrails.store.columns import BACKFILL
from guardrails.store.quarters import ACCOUNT_QUARTERS
from guardrails.store.schema import ACCOUNT_VALUES, POSITIONS
from guardrails.values import AccountId


def of_this_book(
    connection: Connection, book: Book, histories: Sequence[NetLiquidations], only: str = ""
) -> tuple[tuple[NetLiquidations, ...], tuple[str, ...]]:
    """The histories of accounts this book was seen to have, and why not the others; while none was seen yet, of all
    that its sources can have. `only` is the number of the one account that is read at IBKR; empty for every one.

    For files: one of somebody else's account must not become part of this book's past.
    """
    known = _accounts_of(connection, book)
    strange: dict[tuple[AccountId, str], str] = {}
    own = []
    for told in histories:
        if why := _strange(told.account, known, book.names.split(","), only):
            strange[told.account, told.source] = why
        else:
            own.append(told)
    return tuple(own), tuple(f"{source}: {account} {why}" for (account, source), why in strange.items())


def _strange(account: AccountId, known: Mapping[str, str], sources: Sequence[str], only: str) -> str:
    """Why `account` cannot be one of the book of `sources`; empty when it can."""
    if account_key(account) in known:
        return ""
    if known:
        return (
            f"is none of the accounts of these sources ({', '.join(sorted(set(known.values())))}); name its broker in "
            "GUARDRAILS_SOURCES and let the program see the account once, then try again"
        )
    if not all(source in ONE_BROKER for source in sources):  # a file may be of any
        return ""
    if account.broker.casefold() not in sources:
        return f"is of a broker that GUARDRAILS_SOURCES does not name ({', '.join(sources)}): name it there first"
    if only and account.broker.casefold() == "ibkr" and account.number.casefold() != only.casefold():
        return f"is not the one account that IBKR_ACCOUNT names (•••{only[-4:]}): correct it, or leave it out"
    return ""


def _accounts_of(connection: Connection, book: Book) -> Mapping[str, str]:
    """The accounts that were seen live, by `account_key`, each with its broker and mask."""
    live = (
        select(table.c.account_hash, table.c.broker, table.c.account).where(table.c.book == book.key, *conditions)
        for table, conditions in (
            (POSITIONS, ()),
            (ACCOUNT_VALUES, (ACCOUNT_VALUES.c.origin != BACKFILL,)),
            (ACCOUNT_QUARTERS, (ACCOUNT_QUARTERS.c.origin != BACKFILL,)),
        )
    )
    return {owner: f"{broker} {mask}" for owner, broker, mask in connection.execute(union(*live))}
