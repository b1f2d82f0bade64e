"""Whose rows they are: the book of a set of sources, and the accounts, as hashes, behind the masks of a Snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from guardrails.memory import account_key, remembered_as, sources_key
from guardrails.portfolio import Portfolio
from guardrails.store.columns import LIVE
from guardrails.store.inserts import Row
from guardrails.store.metadata import micros
from guardrails.store.texts import number, text
from guardrails.values import AccountId

ONE_BROKER = ("ibkr", "tastytrade")
"""sources that are one broker of their own name; a file or the demo may tell of any"""


@dataclass(frozen=True, slots=True)
class Book:
    """The set of sources that rows belong to."""

    key: str
    names: str
    """comma separated, for people"""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose the rows of a Snapshot are: it shows masks only, and two accounts may share one."""

    accounts: tuple[str, ...]
    """`account_key` per row of `Snapshot.accounts`"""
    positions: tuple[str, ...]
    """`account_key` per row of `Snapshot.positions`"""
    starts: tuple[Row, ...]
    """what is known of the start of each account's session, as in `session_starts` from `origin` on"""


def book_of(sources: Iterable[str], scenario: str = "") -> Book:
    """The book of these sources; each scenario of the demo is a book of its own."""
    names = sources_key(remembered_as(sources, scenario))
    return Book(hashlib.sha256(names.encode("utf-8", "replace")).hexdigest()[:12], text(names))


def owners_of(portfolio: Portfolio) -> Owners:
    """The owners of the rows of the Snapshot that was made from `portfolio`."""
    owners = [*(account.id for account in portfolio.accounts), *(position.account for position in portfolio.positions)]
    keys: dict[AccountId, str] = {owner: account_key(owner) for owner in dict.fromkeys(owners)}
    return Owners(
        tuple([keys[account.id] for account in portfolio.accounts]),
        tuple([keys[position.account] for position in portfolio.positions]),
        tuple(_starts(portfolio)),
    )


def _starts(portfolio: Portfolio) -> Iterable[Row]:
    for account in portfolio.accounts:
        history = portfolio.history.get(account.id)
        if history is None or history.session is None or history.start is None:
            continue
        yield (
            LIVE,
            account_key(account.id),
            account.id.masked,
            text(account.id.broker),
            history.session.isoformat(),
            text(account.currency),
            number(history.start.value),
            micros(history.start.time),
            text(history.start.source),
            number(history.flows),
        )
