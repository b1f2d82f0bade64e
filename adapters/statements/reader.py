"""A statement file, or the files that belong together, into one View: the only entrance to this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from adapters.statements import activity, flex, tastytrade, tastytrade_csv
from adapters.statements.book import NO_ACCOUNT, Book, File, gap
from adapters.statements.decode import display_name, modified, read_text
from adapters.statements.detect import Format, detect
from adapters.statements.overlap import once
from guardrails.portfolio import merge_markets
from guardrails.values import Account, AccountId, Position, Source, SourceState, View

_READERS: Mapping[Format, Callable[[str, File], Book]] = {
    Format.FLEX: flex.read,
    Format.ACTIVITY: activity.read,
    Format.TASTYTRADE_JSON: tastytrade.read_json,
    Format.TASTYTRADE_CSV: tastytrade_csv.read,
}


def read_statement(paths: Path | Sequence[Path], now: datetime) -> View:
    """The View of one statement, or of several files read as one (tastytrade positions with their balances).

    Bad rows come back as UNKNOWN positions, rows that are no position in `source.exclusions`. `now` is aware; expiry
    is judged by it. SourceError when a file gives no book at all.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    views, silent = [], []
    for path in files:
        file, book, form = _read(path, now)
        views.append(_view(file, book, form))
        silent += [] if book.has_positions else [(file, account) for account in book.accounts]
    merged = views[0] if len(views) == 1 else _owned(_merged(views))
    unlisted = _unlisted(silent, merged.positions)
    return replace(merged, positions=(*merged.positions, *unlisted))


def read_book(path: Path, now: datetime) -> Book:
    """What one file says, every row accounted for; SourceError as `read_statement`."""
    return _read(path, now)[1]


def _read(path: Path, now: datetime) -> tuple[File, Book, Format]:
    text = read_text(path)
    file = File(display_name(path), now, modified(path))
    form = detect(text, file.name)
    return file, _READERS[form](text, file), form


def _view(file: File, book: Book, form: Format) -> View:
    times = [account.time for account in book.accounts] + [position.time for position in book.positions]
    doubtful = sum(1 for position in book.positions if position.reasons)
    read = f"{doubtful} of them not understood" if doubtful else "every row understood"
    detail = f"{form.value}: {len(book.positions)} positions, {read}"
    said = book.exclusions(file.name)
    if max(times, default=file.now) > file.now:
        said = (*said, f"{file.name} is dated {max(times):%Y-%m-%d %H:%M} UTC, after the clock it is read by")
    source = Source(file.source, SourceState.FILE, min(times, default=None), detail, said)
    return View(source, book.accounts, book.positions, book.market)


def _unlisted(silent: Sequence[tuple[File, Account]], positions: Sequence[Position]) -> list[Position]:
    """UNKNOWN positions for accounts of which only the balances were given: not to be taken for flat."""
    listed = {position.account for position in positions}
    reason = "{} has balances only: give the positions file of the account together with it"
    return [
        gap(account.id, file.source, account.time, "no positions", reason.format(file.name))
        for file, account in silent
        if account.id not in listed
    ]


def _merged(views: Sequence[View]) -> View:
    """Several files as one source, named after all; of one account the words of the file that knows its money count."""
    accounts: dict[AccountId, Account] = {}
    for account in (account for view in views for account in view.accounts):
        held = accounts.get(account.id)
        if held is None or _tells_more(account, held):
            accounts[account.id] = account
    times = [view.source.time for view in views if view.source.time is not None]
    name = "statement:" + "+".join(view.source.name.removeprefix("statement:") for view in views)
    kept, repeated = once([view.positions for view in views])
    return View(
        source=Source(
            name,
            SourceState.FILE,
            min(times, default=None),
            "; ".join(view.source.detail for view in views),
            (*(line for view in views for line in view.source.exclusions), *repeated),
        ),
        accounts=tuple(accounts.values()),
        positions=tuple(replace(position, source=name) for position in kept),
        market=merge_markets(views),
    )


def _owned(view: View) -> View:
    """Positions of a file that names no account belong to the one account of that broker which others name, if any."""
    numbered = [account.id for account in view.accounts if account.id.number != NO_ACCOUNT]
    owners = {owner.broker: owner for owner in numbered if sum(one.broker == owner.broker for one in numbered) == 1}
    positions = tuple(_given_to(owners.get(held.account.broker), held) for held in view.positions)
    accounts = tuple(a for a in view.accounts if a.id.number != NO_ACCOUNT or a.id.broker not in owners)
    return replace(view, accounts=accounts, positions=positions)


def _given_to(owner: AccountId | None, held: Position) -> Position:
    if owner is None or held.account.number != NO_ACCOUNT:
        return held
    note = f"its file names no account: taken to belong to {owner}"
    return replace(held, account=owner, notes=(*held.notes, note))


def _tells_more(account: Account, held: Account) -> bool:
    if (account.net_liquidation is None) != (held.net_liquidation is None):
        return account.net_liquidation is not None
    return account.time > held.time
