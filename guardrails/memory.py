"""What must survive a restart until the store takes over: session starts, peaks and the regime's counters.

One file, `state.json`, written atomically; keyed by the set of sources, so that the demo never seeds a live book;
account numbers appear only as hashes. What is absent stays unknown: a session start that was not seen is not guessed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from guardrails import calendar, wording
from guardrails.intake import CLOCK_SKEW
from guardrails.matrix import DataRules
from guardrails.portfolio import AccountHistory
from guardrails.regime import RegimeState
from guardrails.values import Account, AccountId, Observed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything remembered for one set of sources."""

    accounts: Mapping[str, AccountHistory] = field(default_factory=dict)
    """by `account_key`"""
    regime: RegimeState | None = None

    def history(self, accounts: Iterable[Account]) -> dict[AccountId, AccountHistory]:
        """The histories of `accounts`; absent ones are left out."""
        return {a.id: self.accounts[account_key(a.id)] for a in accounts if account_key(a.id) in self.accounts}


_FILE = TypeAdapter(dict[str, Memory])
_RECENT = timedelta(days=5)
"""a reading older than this is no start of a session: the book was not watched over at least one whole session"""


def account_key(account: AccountId) -> str:
    """A stable key that does not reveal the number."""
    return hashlib.sha256(f"{account.broker}|{account.number}".encode()).hexdigest()[:16]


def read_memory(path: Path, sources: Iterable[str]) -> Memory:
    """What `path` remembers of this set of sources; empty when there is no file or it cannot be read (then logged)."""
    try:
        return _FILE.validate_json(path.read_bytes()).get(sources_key(sources), Memory())
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError) as error:
        log.warning(
            "%s cannot be read (%s); session start, peak and regime begin anew", path.name, type(error).__name__
        )
        return Memory()


def write_memory(path: Path, sources: Iterable[str], memory: Memory) -> None:
    """Replace this set's entry in `path` atomically; other sets are kept."""
    try:
        kept = _FILE.validate_json(path.read_bytes())
    except (OSError, ValueError):
        kept = {}
    kept[sources_key(sources)] = memory
    write_atomically(path, _FILE.dump_json(kept, indent=1))


def sources_key(sources: Iterable[str]) -> str:
    """Key of a set of sources, whatever their order."""
    return ",".join(sorted(set(sources)))


def remembered_as(sources: Iterable[str], scenario: str) -> tuple[str, ...]:
    """The names under which the memory of `sources` is kept: each scenario of the demo is a market of its own."""
    return tuple(f"demo:{scenario}" if name == "demo" and scenario else name for name in sources)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` with `content` so that a reader or a crash sees the old or the new file, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remember(
    history: AccountHistory,
    account: Account,
    own_pnl: float | None,
    max_loss: float | None,
    rules: DataRules,
    now: datetime,
) -> AccountHistory:
    """The history after one more reading; `own_pnl` is today's P/L from our own quotes, None when unknown."""
    history = _at_session(history, account, now)
    value = account.net_liquidation
    if value is None or account.time - now > CLOCK_SKEW:
        return history
    history = _with_flows(history, account)
    if history.last is not None and account.time <= history.last.time:
        return history  # the same broker reading again says nothing new
    jump = _jump(history, own_pnl, value, account.currency, rules)
    reading = Observed(value, account.time, account.source)
    history = replace(history, jump=jump, losing=_losing(history, account, value, max_loss))
    if jump:
        return history
    peak = history.peak if history.peak is not None and history.peak.value >= value else reading
    return replace(history, last=reading, peak=peak, since=history.since or account.time)


def _at_session(history: AccountHistory, account: Account, now: datetime) -> AccountHistory:
    """A new session starts from the broker's previous close, else what was last seen before the open, else unknown."""
    session = calendar.session_of(now)
    opened, _ = calendar.session_bounds(session)
    start = account.prior_net_liquidation
    if start is not None and not opened - _RECENT < start.time <= now:
        start = None
    if history.session == session:
        return replace(history, start=history.start or start)
    if start is None:
        last = None if history.jump else history.last
        if last is not None and opened - _RECENT < last.time <= opened:
            start = last
        elif account.net_liquidation is not None and account.time <= opened:
            start = Observed(account.net_liquidation, account.time, account.source)
    peak = history.peak
    if history.jump and peak is not None and history.last is not None and account.net_liquidation is not None:
        # a rise nobody explained counts as a deposit, so that it cannot hide a drawdown
        peak = replace(peak, value=peak.value + max(account.net_liquidation - history.last.value, 0.0))
    return AccountHistory(since=history.since, session=session, start=start, peak=peak, last=start)


def _with_flows(history: AccountHistory, account: Account) -> AccountHistory:
    """Reported deposits and withdrawals move the peak and are taken out of the loss."""
    if account.cash_flows is None or account.cash_flows == history.flows:
        return history
    moved = account.cash_flows - history.flows
    peak = None if history.peak is None else replace(history.peak, value=history.peak.value + moved)
    last = None if history.last is None else replace(history.last, value=history.last.value + moved)
    return replace(history, flows=account.cash_flows, peak=peak, last=last)


def _jump(history: AccountHistory, own_pnl: float | None, value: float, currency: str, rules: DataRules) -> str:
    """Why the move since the last explained reading is not explained, or nothing."""
    if history.last is None or history.last.value <= 0:
        return ""
    moved = value - history.last.value
    if abs(moved) <= rules.jump_pct_nlv * history.last.value:
        return ""
    if own_pnl is not None and history.start is not None:
        explained = history.start.value + history.flows + own_pnl
        if abs(value - explained) <= rules.agree_pct_nlv * abs(history.start.value):
            return ""
    way = "up" if moved > 0 else "down"
    return (
        f"net liquidation jumped {way} by {wording.money(abs(moved), currency)} since "
        f"{history.last.time.astimezone(calendar.NEW_YORK):%H:%M} ET "
        "without a cash flow or our own quotes explaining it"
    )


def _losing(history: AccountHistory, account: Account, value: float, max_loss: float | None) -> tuple[datetime, ...]:
    if max_loss is None or history.start is None or history.start.value <= 0:
        return ()
    lost = history.start.value + history.flows - value
    if lost <= max_loss * history.start.value:
        return ()
    return (*history.losing, account.time)[-10:] if account.time not in history.losing else history.losing
