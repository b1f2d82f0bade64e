"""The past that others kept: asked for, stored once, never in place of what was seen, never of another's account."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.demo import DemoSource
from guardrails import histories
from guardrails.brokers import NetLiquidationHistory
from guardrails.errors import SourceError
from guardrails.histories import at_ends, past_of, past_once
from guardrails.memory import account_key
from guardrails.past import Closes, NetLiquidations, Past
from guardrails.settings import Settings
from guardrails.store import drawdown, history
from guardrails.store.backfill import Stored, add_past, store_past
from guardrails.store.books import Book, book_of
from guardrails.store.database import Database
from guardrails.store.forgetting import forget
from guardrails.store.inserts import insert
from guardrails.store.metadata import METADATA, StoreError
from guardrails.store.own_accounts import of_this_book
from guardrails.store.schema import BOOKS
from guardrails.values import Account, AccountId, Market, Observed, Source, SourceState, View
from tests.books import IBKR, NOW, SHARED, TASTY
from tests.brokers.tasty import Tasty
from tests.command import called
from tests.stored import Lock, ask, opened
from tests.tasty import REFRESH, SECRET, Clock, reading, settled
from tests.tasty import opened as opened_book
from tests.tasty import run as on_a_loop
from tests.test_equity_history import flex, row

BOOK = book_of(["ibkr", "tastytrade"])
BEFORE = datetime(2026, 11, 17, 21, 0, tzinfo=UTC)
"""the close of the session before NOW; its last quarter of an hour began at 20:45 UTC"""
QUARTER = 1_794_948_300_000_000
"""2026-11-17 20:45 UTC in microseconds: 20,774 days of 86,400 s and 74,700 s since 1970"""
DAY = timedelta(days=1)


def money(*values: tuple[datetime, float], account: AccountId = IBKR, **changes: Any) -> NetLiquidations:
    return replace(NetLiquidations(account, "USD", values, "statement:nav.xml"), **changes)


def vix(*values: tuple[date, float], source: str = "file:vix.csv") -> Closes:
    return Closes("VIX", values, source)


@pytest.fixture
def database(kind: str, tmp_path: Path) -> Iterator[Database]:
    """In a file and on a server."""
    assert kind
    kept = opened(tmp_path)
    yield kept
    kept.close()


def stored(database: Database, *told: NetLiquidations | Closes, book: Book = BOOK, now: datetime = NOW) -> Stored:
    past = Past(
        tuple(one for one in told if isinstance(one, NetLiquidations)),
        tuple(one for one in told if isinstance(one, Closes)),
    )
    with database.writing(durable=True) as connection:
        return store_past(connection, book, past, now)


ACCOUNTS = "SELECT account_hash, time, origin, net_liquidation FROM account_quarters ORDER BY time, origin"
CLOSES = "SELECT symbol, day, close, origin, source FROM market_closes ORDER BY symbol, day"


def put_live(database: Database, table: str, **cells: Any) -> None:
    """A row as the running program would have left it."""
    with database.writing(durable=True) as connection:
        insert(connection, BOOKS, [(cells["book"], "", 0)])
        connection.execute(METADATA.tables[table].insert(), cells)


def live(account: AccountId, **more: Any) -> dict[str, Any]:
    return {
        "book": BOOK.key,
        "account_hash": account_key(account),
        "account": account.masked,
        "broker": account.broker,
        **more,
    }


# --- stored once ---


def test_a_value_is_stored_in_the_quarter_of_an_hour_that_ends_with_the_session(
    database: Database, tmp_path: Path
) -> None:
    done = stored(database, money((BEFORE, 100_250.5)))
    assert (done.new, done.known, done.contradicting, done.refused) == (1, 0, (), ())
    assert ask(tmp_path, "SELECT * FROM account_quarters") == [
        (BOOK.key, account_key(IBKR), QUARTER, "backfill", "•••4567", "IBKR", "USD", 100_250.5)
        + (None,) * 6
        + ("statement:nav.xml",)
    ]
    assert ask(tmp_path, "SELECT book, names FROM books") == [(BOOK.key, "ibkr,tastytrade")]


def test_half_days_and_summer_have_quarters_of_their_own(database: Database, tmp_path: Path) -> None:
    """13:00 in New York on the day after Thanksgiving 2025, 16:00 on 2 July 2026."""
    half, summer = datetime(2025, 11, 28, 18, 0, tzinfo=UTC), datetime(2026, 7, 2, 20, 0, tzinfo=UTC)
    stored(database, money((half, 1.5), (summer, 2.5)))
    quarters = [datetime.fromtimestamp(time / 1e6, UTC) for _, time, _, _ in ask(tmp_path, ACCOUNTS)]
    assert quarters == [datetime(2025, 11, 28, 17, 45, tzinfo=UTC), datetime(2026, 7, 2, 19, 45, tzinfo=UTC)]


def test_of_several_values_in_a_quarter_the_last_is_kept(database: Database, tmp_path: Path) -> None:
    minutes = [(BEFORE - timedelta(minutes=back), 100.0 + back) for back in (0, 5, 10, 15, 20)]
    done = stored(database, money(*minutes))
    assert (done.new, [(time, value) for _, time, _, value in ask(tmp_path, ACCOUNTS)]) == (
        2,
        [(QUARTER - 900_000_000, 115.0), (QUARTER, 100.0)],
    )


def test_closes_are_stored_by_symbol_and_exchange_date(database: Database, tmp_path: Path) -> None:
    done = stored(database, vix((date(2026, 11, 16), 17.5), (date(2026, 11, 17), 17.6)))
    assert done.new == 2
    assert ask(tmp_path, CLOSES) == [
        ("VIX", "2026-11-16", 17.5, "backfill", "file:vix.csv"),
        ("VIX", "2026-11-17", 17.6, "backfill", "file:vix.csv"),
    ]


def test_running_it_twice_adds_only_what_is_new(database: Database, tmp_path: Path) -> None:
    told = money((BEFORE - DAY, 99_500.0), (BEFORE, 100_250.5)), vix((date(2026, 11, 16), 17.5))
    assert stored(database, *told).new == 3
    before = ask(tmp_path, ACCOUNTS), ask(tmp_path, CLOSES)
    again = stored(database, *told)
    assert (again.new, again.known, again.contradicted) == (0, 3, 0)
    assert (ask(tmp_path, ACCOUNTS), ask(tmp_path, CLOSES)) == before
    more = stored(database, money((BEFORE - 4 * DAY, 99_000.0), (BEFORE, 100_250.5)))
    assert (more.new, more.known) == (1, 1)


def dump(folder: Path) -> dict[str, list[str]]:
    """Every row of every table."""
    return {name: sorted(map(repr, ask(folder, f'SELECT * FROM "{name}"'))) for name in METADATA.tables}  # noqa: S608  # names of our own tables


def test_run_again_it_leaves_every_row_of_every_table_as_it_was(database: Database, tmp_path: Path) -> None:
    """Also where live rows stand beside, and told otherwise meanwhile; what restarts, stays as well."""
    cells = {**live(IBKR, time=QUARTER, origin="live", currency="USD", net_liquidation=101_000.0, source="ibkr")}
    put_live(database, "account_quarters", **cells)
    rows_ = tuple((BEFORE - n * DAY, 100_000.0 + n) for n in range(60) if (BEFORE - n * DAY).weekday() < 5)
    past = Past((money(*rows_),), (vix(*((when.date(), 17.0) for when, _ in rows_)),))
    assert add_past(database, BOOK, past, Past(), NOW).new > 2 * 35
    before = dump(tmp_path)
    other = Past((money((BEFORE, 50_000.0)),), (vix((BEFORE.date(), 60.0)),))
    for again in (past, past + other, other):
        assert add_past(database, BOOK, again, Past(), NOW + DAY).new == 0
        assert dump(tmp_path) == before


def test_two_programs_that_fill_in_at_once_store_it_once(database: Database, tmp_path: Path) -> None:
    days = [BEFORE - n * DAY for n in range(60) if (BEFORE - n * DAY).weekday() < 5]
    past = Past((money(*((when, 100_000.0) for when in days)),), (vix(*((when.date(), 17.0) for when in days)),))
    second = opened(tmp_path)
    try:
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda one: add_past(one, BOOK, past, Past(), NOW), (database, second)))
    finally:
        second.close()
    count = len(ask(tmp_path, ACCOUNTS)) + len(ask(tmp_path, CLOSES))
    assert sum(one.new for one in done) == count > 2 * 35
    assert [one.contradicted for one in done] == [0, 0]


def test_what_is_stored_stays_and_a_contradiction_is_told_with_both_words(database: Database, tmp_path: Path) -> None:
    """100,350 is within a thousandth of 100,250.50, 100,400 is not; 17.5 and 17.6 differ by more."""
    stored(database, money((BEFORE, 100_250.5)), vix((date(2026, 11, 16), 17.5)))
    near = stored(database, money((BEFORE, 100_350.0), source="tastytrade"))
    assert (near.known, near.contradicted, near.contradicting) == (1, 0, ())
    far = stored(
        database, money((BEFORE, 100_400.0), source="tastytrade"), vix((date(2026, 11, 16), 17.6), source="ibkr")
    )
    assert (far.new, far.known, far.contradicted) == (0, 0, 2)
    assert far.contradicting == (
        "IBKR •••4567, stored and stays, and told now: 2026-11-17 16:00 New York: "
        "100,250.50 USD (statement:nav.xml) and 100,400.00 USD (tastytrade)",
        "VIX, stored and stays, and told now: 2026-11-16: 17.50 (file:vix.csv) and 17.60 (ibkr)",
    )
    assert [value for *_, value in ask(tmp_path, ACCOUNTS)] == [100_250.5]
    assert [close for _, _, close, _, _ in ask(tmp_path, CLOSES)] == [17.5]


def test_the_same_number_in_another_currency_is_a_contradiction(database: Database) -> None:
    stored(database, money((BEFORE, 100_250.5)))
    assert stored(database, money((BEFORE, 100_250.5), currency="EUR")).contradicted == 1


def test_rows_that_were_seen_live_are_never_touched(database: Database, tmp_path: Path) -> None:
    put_live(
        database, "account_quarters",
        **live(IBKR, time=QUARTER, origin="live", currency="USD", net_liquidation=101_000.0, source="ibkr"),
    )  # fmt: skip
    put_live(
        database, "market_closes",
        book=BOOK.key, symbol="VIX", day="2026-11-16", close=17.1, origin="live", source="ibkr",
    )  # fmt: skip
    done = stored(database, money((BEFORE, 100_250.5)), vix((date(2026, 11, 16), 17.5), (date(2026, 11, 17), 17.6)))
    assert (done.new, done.contradicted) == (2, 1)
    assert ask(tmp_path, ACCOUNTS) == [
        (account_key(IBKR), QUARTER, "backfill", 100_250.5),
        (account_key(IBKR), QUARTER, "live", 101_000.0),
    ]
    assert ask(tmp_path, CLOSES)[0] == ("VIX", "2026-11-16", 17.1, "live", "ibkr")


@pytest.mark.parametrize(
    ("when", "value"),
    [
        (BEFORE, math.nan),
        (BEFORE, math.inf),
        (BEFORE, 1.7976931348623157e308),
        (BEFORE, -0.0),
        (NOW + timedelta(seconds=1), 100.0),
        (datetime(1989, 12, 29, 21, 0, tzinfo=UTC), 100.0),
        (datetime(2026, 11, 14, 21, 0, tzinfo=UTC), 100.0),
    ],
)
def test_what_is_not_to_be_believed_is_never_stored(
    database: Database, tmp_path: Path, when: datetime, value: float
) -> None:
    done = stored(database, money((when, value)), vix((when.date(), value)))
    assert (done.new, len(done.refused)) == (0, 2)
    assert ask(tmp_path, ACCOUNTS) + ask(tmp_path, CLOSES) == []


def test_every_book_has_a_past_of_its_own(database: Database, tmp_path: Path) -> None:
    demo = book_of(["demo"], "calm")
    stored(database, money((BEFORE, 100_250.5)))
    assert stored(database, money((BEFORE, 50.0)), book=demo).new == 1
    assert {book for (book,) in ask(tmp_path, "SELECT book FROM account_quarters")} == {BOOK.key, demo.key}


DAYS = [date(2026, 11, 9) + timedelta(days=n) for n in range(9)]
ANY = st.lists(st.tuples(st.sampled_from(DAYS), st.floats(allow_nan=True, allow_infinity=True)), max_size=8)


@settings(max_examples=20, deadline=None)
@given(ANY, ANY)
def test_whatever_is_told_stored_values_are_finite_and_never_change(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[date, float]], then: list[tuple[date, float]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    database = opened(folder)
    try:
        stored(database, vix(*first))
        before = set(ask(folder, CLOSES))
        stored(database, vix(*then))
        assert before <= set(ask(folder, CLOSES))
        assert all(0 < close < 1e300 for _, _, close, _, _ in ask(folder, CLOSES))
        assert stored(database, vix(*then)).new == 0
    finally:
        database.close()


def test_a_backfilled_peak_seeds_no_drawdown(database: Database) -> None:
    """Peaks are of what was watched: of the past of others neither deposits nor withdrawals are known."""
    add_past(database, BOOK, Past((money((BEFORE - DAY, 9e9), (BEFORE, 8e9)),)), Past(), NOW)
    with database.reading() as connection:
        points, _ = history.totals(connection, BOOK.key, NOW, NOW + DAY, 15.0)
        before = drawdown.highs_before(connection, points)
        flows = drawdown.flows(connection, BOOK.key, points.end)
    assert before.value.tolist() == []
    here = drawdown.Highs(*(np.array([one]) for one in (0, 1)), np.array([100.0]))
    assert drawdown.drawdown(np.array([100.0]), here, flows, before).tolist() == [0.0]


# --- taken out again ---


def test_what_a_wrong_file_filled_in_is_taken_out_and_nothing_else(database: Database, tmp_path: Path) -> None:
    """Of the same account and day: what was seen live, what another file told, another book."""
    live_row = {**live(IBKR, time=QUARTER, origin="live", currency="USD", net_liquidation=1.0), "source": "nav.xml"}
    put_live(database, "account_quarters", **live_row)
    stored(database, money((BEFORE - DAY, 3.0), source="statement:other.xml"), vix((date(2026, 11, 17), 17.0)))
    stored(database, money((BEFORE, 4.0)), book=book_of(["ibkr"]))
    before = dump(tmp_path)
    stored(database, money((BEFORE, 2.0)), vix((date(2026, 11, 16), 19.0), source="statement:nav.xml"))
    assert forget(database, BOOK, "nav.xml") == (["2 values of nav.xml taken out of " + database.name], 0)
    assert dump(tmp_path) == before
    (said,), code = forget(database, BOOK, "nav.xml")
    assert (code, said.partition("; ")[2]) == (3, "filled in was: vix.csv, other.xml")
    assert dump(tmp_path) == before


# --- whose it is ---


def strangers(database: Database, *told: NetLiquidations) -> tuple[list[AccountId], tuple[str, ...]]:
    with database.reading() as connection:
        own, refused = of_this_book(connection, BOOK, told)
    return [one.account for one in own], refused


SEEN = {
    "positions": {"key": "k", "source": "ibkr", "nth": 1, "symbol": "", "label": "", "kind": "", "underlying": "",
                  "currency": "USD"},
    "account_values": {"time": 1, "origin": "live", "currency": "USD"},
    "account_quarters": {"time": 1, "origin": "live", "currency": "USD", "source": "ibkr"},
}  # fmt: skip


@pytest.mark.parametrize("table", sorted(SEEN))
def test_an_account_that_the_book_was_not_seen_to_have_is_refused(database: Database, table: str) -> None:
    put_live(database, table, **live(IBKR), **SEEN[table])
    own, refused = strangers(database, money((BEFORE, 1.0)), money((BEFORE, 2.0), account=TASTY))
    assert own == [IBKR]
    (told,) = refused
    assert "tastytrade •••0001 is none of the accounts of these sources (IBKR •••4567)" in told
    assert IBKR.number not in told
    assert TASTY.number not in told


def test_while_no_account_was_seen_any_is_accepted_also_after_a_backfill(database: Database) -> None:
    stored(database, money((BEFORE, 1.0)))
    assert strangers(database, money((BEFORE, 2.0), account=TASTY)) == ([TASTY], ())


@pytest.mark.parametrize(
    ("sources", "only", "said"),
    [
        (["tastytrade"], "", "is of a broker that GUARDRAILS_SOURCES does not name (tastytrade)"),
        (["ibkr"], TASTY.number, "is not the one account that IBKR_ACCOUNT names (•••0001)"),
        (["ibkr"], IBKR.number.lower(), ""),
        (["ibkr", "tastytrade"], "", ""),
        (["ibkr", "statement:old.xml"], TASTY.number, ""),
    ],
)
def test_before_any_account_was_seen_only_those_the_sources_can_have_are_accepted(
    database: Database, sources: list[str], only: str, said: str
) -> None:
    """A Flex Query tells every account of a login; a file of statements among the sources may be of any."""
    with database.reading() as connection:
        own, refused = of_this_book(connection, book_of(sources), [money((BEFORE, 1.0))], only)
    assert (len(own), len(refused)) == ((0, 1) if said else (1, 0))
    assert said in "".join(refused)
    assert IBKR.number not in "".join(refused)


def test_accounts_of_another_book_do_not_count(database: Database) -> None:
    put_live(database, "account_values", **{**live(TASTY), **SEEN["account_values"]})
    with database.reading() as connection:
        own, _ = of_this_book(connection, book_of(["ibkr"]), [money((BEFORE, 1.0))])
    assert len(own) == 1


def test_sources_may_offer_an_account_that_was_not_seen_before_a_file_may_not(database: Database) -> None:
    put_live(database, "account_values", **{**live(IBKR), **SEEN["account_values"]})
    told = Past((money((BEFORE, 2.0), account=TASTY),))
    by_file = add_past(database, BOOK, told, Past(), NOW)
    assert (by_file.new, len(by_file.refused)) == (0, 1)
    assert add_past(database, BOOK, Past(), told, NOW).new == 1


def test_a_database_that_is_locked_takes_nothing_and_says_so(kind: str, tmp_path: Path) -> None:
    assert kind
    database = opened(tmp_path, busy_seconds=0.05)
    lock = Lock(tmp_path)
    try:
        with pytest.raises(StoreError, match=r"locked by another program.*nothing was stored"):
            add_past(database, BOOK, Past((money((BEFORE, 1.0)),)), Past(), NOW)
        lock.release()
        assert ask(tmp_path, ACCOUNTS) == []
    finally:
        database.close()


# --- asking the sources ---


def told(*rows: tuple[datetime, float]) -> list[Observed]:
    return [Observed(value, when, "tastytrade") for when, value in rows]


OPENING = datetime(2026, 11, 17, 14, 30, tzinfo=UTC)
"""of the session before NOW"""


@pytest.mark.parametrize(
    "began",
    [
        [OPENING - 4 * DAY, OPENING - DAY, OPENING],
        [datetime(2026, 11, day, 0, 0, tzinfo=UTC) for day in (13, 16, 17)],
        [datetime(2026, 11, day, 23, 0, tzinfo=UTC) for day in (12, 15, 16)],
        [datetime(2026, 11, day, 0, 0, tzinfo=UTC) for day in (13, 14, 15, 16, 17)],
    ],
    ids=["opening bell", "midnight UTC", "evening before", "weekends too"],
)
def test_a_row_a_day_is_worth_its_value_at_the_close(began: Sequence[datetime]) -> None:
    rows = told(*((when, float(when.day)) for when in began))
    ends = at_ends(rows, NOW)
    assert ends is not None
    assert [when for when, _ in ends] == [BEFORE - 4 * DAY, BEFORE - DAY, BEFORE]
    assert ends[-1][1] == rows[-1].value


def test_a_day_that_is_not_over_is_left_out() -> None:
    rows = told((OPENING, 100.0), (OPENING + DAY, 101.0))
    assert at_ends(rows, NOW) == ((BEFORE, 100.0),)
    assert at_ends(rows, BEFORE + DAY) == ((BEFORE, 100.0), (BEFORE + DAY, 101.0))


def test_rows_within_a_session_end_where_the_next_begins() -> None:
    minutes = timedelta(minutes=5)
    rows = told((OPENING, 1.0), (OPENING + minutes, 2.0), (OPENING + 3 * minutes, 3.0))
    assert at_ends(rows, NOW) == (
        (OPENING + minutes, 1.0),
        (OPENING + 3 * minutes, 2.0),
        (OPENING + 5 * minutes, 3.0),
    )


def test_the_one_row_of_a_session_that_has_just_begun_is_not_its_whole_day() -> None:
    hour = timedelta(hours=1)
    rows = told(*((OPENING + day * DAY + nth * hour, 100.0 + nth) for day in (-1, 0) for nth in range(6)))
    ends = at_ends([*rows, *told((OPENING + DAY, 50.0))], NOW + DAY)
    assert ends is not None
    assert ends[-2:] == ((OPENING + 6 * hour, 105.0), (OPENING + DAY + hour, 50.0))


def test_of_rows_a_week_apart_the_day_is_not_known() -> None:
    assert at_ends(told(*((OPENING - 7 * n * DAY, 100.0) for n in range(4))), NOW) is None
    assert at_ends([], NOW) == ()


class Told:
    """A source that tells what a test gives it."""

    name = "told"

    def __init__(self, past: Mapping[str, Sequence[Observed]] | Exception, *accounts: Account) -> None:
        self._past, self._accounts, self.closed = past, accounts, False

    async def view(self, now: datetime) -> View:
        closes = ((date(2026, 9, 7), 16.0), (date(2026, 11, 16), 17.5))
        return View(Source(self.name, SourceState.LIVE, now), self._accounts, market=Market(vix_closes=closes))

    async def net_liquidations(self, back: str) -> Mapping[AccountId, tuple[Observed, ...]]:
        if isinstance(self._past, TimeoutError):
            await asyncio.Event().wait()
        if isinstance(self._past, Exception):
            raise self._past
        return {TASTY: tuple(self._past.get(back, ()))}

    async def close(self) -> None:
        self.closed = True


OWNER = Account(TASTY, "told", NOW, currency="USD")


def asked(*sources: Told) -> Past:
    return asyncio.run(past_of(sources, NOW))


def test_the_past_of_a_source_is_its_values_at_the_closes_and_its_closes_without_holidays() -> None:
    """7 September 2026 is Labor Day."""
    past = asked(Told({"all": told((OPENING, 100.0))}, OWNER))
    assert past.net_liquidations == (NetLiquidations(TASTY, "USD", ((BEFORE, 100.0),), "told"),)
    assert past.closes == (Closes("VIX", ((date(2026, 11, 16), 17.5),), "told"),)
    assert past.problems == ()


def test_a_shorter_past_is_asked_for_when_the_whole_is_too_coarse() -> None:
    weeks = told(*((OPENING - 7 * n * DAY, 100.0) for n in range(4)))
    assert asked(Told({"all": weeks, "1y": told((OPENING, 7.0))}, OWNER)).net_liquidations[0].values == ((BEFORE, 7.0),)
    (told_,) = asked(Told(dict.fromkeys(("all", "1y", "1m"), weeks), OWNER)).problems
    assert told_ == "told: the values of tastytrade •••0001 are too far apart to tell of which days they are"


@pytest.mark.parametrize(
    ("past", "accounts", "said"),
    [
        (SourceError("the door is shut"), (OWNER,), "told: its past cannot be read: the door is shut"),
        (RuntimeError("5WT00001"), (OWNER,), "told: its past cannot be read (RuntimeError); see the log"),
        (TimeoutError(), (OWNER,), "told did not tell its past within 0 s"),
        ({"all": ()}, (OWNER,), "told gave no past of tastytrade •••0001"),
        ({"all": told((OPENING, 1.0))}, (), "told: the past of tastytrade •••0001 is in no known currency"),
    ],
)
def test_a_source_that_cannot_tell_is_a_sentence_and_the_others_are_heard(
    monkeypatch: pytest.MonkeyPatch, past: Any, accounts: tuple[Account, ...], said: str
) -> None:
    monkeypatch.setattr(histories, "ANSWER_SECONDS", 0.2)
    found = asked(Told(past, *accounts), Told({"all": told((OPENING, 100.0))}, OWNER))
    assert [one.values for one in found.net_liquidations] == [((BEFORE, 100.0),)]
    assert len(found.closes) == 2
    (problem,) = found.problems
    assert problem.startswith(said)


def test_a_single_look_closes_what_it_asked() -> None:
    source = Told(RuntimeError("no"), OWNER)
    asyncio.run(past_once([source], lambda: NOW))
    assert source.closed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasty(clock: Clock) -> Iterator[Tasty]:
    with Tasty(opened_book(clock), clock=clock) as running:
        yield running


def test_tastytrade_tells_its_accounts_day_by_day_and_the_closes_of_the_regime(tasty: Tasty, clock: Clock) -> None:
    """The closes before Monday 23 November that tests/brokers/books/tasty.yaml gives to the accounts, oldest first."""

    async def work() -> None:
        async with reading(tasty, clock) as source:
            assert isinstance(source, NetLiquidationHistory)
            await settled(source, clock)
            past = await past_of([source], clock())
        at = [datetime(2026, 11, day, 21, 0, tzinfo=UTC) for day in (18, 19, 20)]
        values = {one.account.number[-4:]: one.values for one in past.net_liquidations}
        assert values == {
            "0001": tuple(zip(at, (111_980.0, 112_410.5, 112_635.0), strict=True)),
            "0002": tuple(zip(at[1:], (75_610.0, 75_940.0), strict=True)),
        }
        assert {one.currency for one in past.net_liquidations} == {"USD"}
        assert {one.symbol for one in past.closes} == {"VIX", "VIX3M"}
        assert past.problems == ()

    on_a_loop(work())


def test_tastytrade_without_a_history_is_a_sentence_for_each_account(tasty: Tasty, clock: Clock) -> None:
    async def work() -> None:
        tasty.fault("server_error", paths=["net_liq"])
        async with reading(tasty, clock) as source:
            await settled(source, clock)
            past = await past_of([source], clock())
        assert past.net_liquidations == ()
        assert sorted(past.problems) == [f"tastytrade gave no past of tastytrade •••000{n}" for n in (1, 2)]

    on_a_loop(work())


def test_the_demo_tells_closes_of_its_own_market_and_no_accounts() -> None:
    source = DemoSource("calm")
    assert not isinstance(source, NetLiquidationHistory)
    past = asyncio.run(past_of([source], NOW))
    assert (past.net_liquidations, {one.symbol for one in past.closes}, past.problems) == ((), {"VIX", "VIX3M"}, ())


# --- the command ---


class Command:
    """`guardrails backfill` in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        self.set(GUARDRAILS_DATA_DIR=str(folder / "data"), GUARDRAILS_SOURCES="statement:held.xml")
        monkeypatch.setattr("guardrails.cli.past.clock", lambda: NOW)
        (folder / "nav.xml").write_text(flex(row(reportDate="20261116"), row()), encoding="utf-8")
        for name in ("vix.csv", "vix3m.csv"):
            (folder / name).write_text("date,close\n2026-11-16,17.5\n2026-11-17,17.6\n", encoding="utf-8")

    def set(self, **values: str) -> None:
        for name, value in values.items():
            self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> tuple[int, str]:
        code, out, err = called(self._monkeypatch, self._capsys, "backfill", *arguments)
        return code, out + err

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return ask(self.folder / "data", query)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


def test_files_fill_the_book_of_the_configured_sources(command: Command) -> None:
    code, out = command("--flex", "nav.xml", "--vix", "vix.csv", "--vix3m", "vix3m.csv")
    assert (code, out.splitlines()[0]) == (
        0,
        "6 values added to guardrails.db, 0 were there already, 0 are stored otherwise and stay so",
    )
    book = book_of(["statement:held.xml"]).key
    assert command.ask("SELECT DISTINCT book FROM account_quarters") == [(book,)]
    assert command.ask("SELECT symbol, count(*) FROM market_closes GROUP BY symbol") == [("VIX", 2), ("VIX3M", 2)]
    code, out = command("--flex", "nav.xml", "--vix", "vix.csv", "--vix3m", "vix3m.csv")
    assert (code, out.splitlines()[0]) == (
        0,
        "0 values added to guardrails.db, 6 were there already, 0 are stored otherwise and stay so",
    )


def test_it_works_while_another_program_has_the_database_open(command: Command) -> None:
    running = opened(command.folder / "data")
    try:
        with running.reading() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM books").scalar_one()
            assert command("--vix", "vix.csv")[0] == 0
        with running.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM market_closes").scalar_one() == 2
    finally:
        running.close()


def test_what_is_refused_is_told_and_the_rest_is_stored(command: Command) -> None:
    (command.folder / "vix.csv").write_text("date,close\n2026-11-16,17.5\n2026-11-17,\n", encoding="utf-8")
    code, out = command("--flex", "nav.xml", "--flex", "absent.xml", "--vix", "vix.csv")
    assert code == 3
    assert "3 values added" in out
    assert "refused: vix.csv line 3: has no close" in out
    assert "refused: absent.xml cannot be read: No such file or directory" in out


def test_a_contradiction_is_told_and_is_3(command: Command) -> None:
    command("--vix", "vix.csv")
    (command.folder / "vix.csv").write_text("date,close\n2026-11-16,18.5\n2026-11-17,17.6\n", encoding="utf-8")
    code, out = command("--vix", "vix.csv")
    assert (code, "contradiction: VIX, stored and stays" in out) == (3, True)
    assert command.ask("SELECT close FROM market_closes WHERE day = '2026-11-16'") == [(17.5,)]


def test_a_mix_up_is_put_right_by_taking_it_out_and_adding_what_is_right(command: Command) -> None:
    command("--flex", "nav.xml", "--vix", "vix.csv")
    assert command("--forget", "vix.csv") == (0, "2 values of vix.csv taken out of guardrails.db\n")
    assert command.ask("SELECT count(*) FROM market_closes") == [(0,)]
    assert command.ask("SELECT count(*) FROM account_quarters") == [(2,)]
    (command.folder / "right.csv").write_text("date,close\n2026-11-16,18.5\n", encoding="utf-8")
    assert command("--vix", "right.csv")[0] == 0
    assert command("--forget", "vix.csv")[0] == 3
    assert command("--forget", "vix.csv", "--vix", "right.csv")[0] == 64


def test_a_file_of_somebody_elses_account_is_refused(command: Command) -> None:
    command("--vix", "vix.csv")
    seen = {**live(TASTY), **SEEN["account_values"], "book": book_of(["statement:held.xml"]).key}
    running = opened(command.folder / "data")
    put_live(running, "account_values", **seen)
    running.close()
    code, out = command("--flex", "nav.xml")
    assert code == 3
    assert "IBKR •••4567 is none of the accounts of these sources (tastytrade •••0001)" in out
    assert IBKR.number not in out
    assert command.ask("SELECT count(*) FROM account_quarters") == [(0,)]


def test_of_a_login_with_several_accounts_only_the_one_that_is_read_is_taken(command: Command) -> None:
    command.set(GUARDRAILS_SOURCES="ibkr", IBKR_ACCOUNT=IBKR.number)
    (command.folder / "nav.xml").write_text(flex(row(), row(accountId="U0000007777", total="5")), encoding="utf-8")
    code, out = command("--flex", "nav.xml")
    assert code == 3
    assert "IBKR •••7777 is not the one account that IBKR_ACCOUNT names (•••4567)" in out
    assert command.ask("SELECT account, net_liquidation FROM account_quarters") == [("•••4567", 100_250.5)]


def test_the_demo_takes_nothing_of_real_accounts(command: Command) -> None:
    command.set(GUARDRAILS_SOURCES="demo")
    code, out = command("--flex", "nav.xml", "--vix", "vix.csv")
    assert (code, "nothing was added of nav.xml, vix.csv: GUARDRAILS_SOURCES has demo" in out) == (3, True)
    assert not (command.folder / "data" / "guardrails.db").exists()


def test_a_wrong_use_is_64(command: Command) -> None:
    assert command()[0] == 64
    assert "there is nothing to add" in command()[1]
    assert command("--no-tastytrade")[0] == 64
    command.set(GUARDRAILS_SOURCES="tastytrade")
    assert command("--no-tastytrade")[0] == 64


def test_tastytrade_is_not_asked_when_it_is_no_source(command: Command) -> None:
    code, out = command("--tastytrade")
    assert (code, "tastytrade was not asked: GUARDRAILS_SOURCES does not name it" in out) == (3, True)


def test_tastytrade_is_asked_when_it_is_a_source(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    monkeypatch.setattr("guardrails.cli.past.clock", now)
    with Tasty(opened_book(now), clock=now) as tasty:
        command.set(
            GUARDRAILS_SOURCES="tastytrade", TASTYTRADE_BASE_URL=tasty.url, TT_SECRET=SECRET, TT_REFRESH=REFRESH
        )
        code, out = command()
        assert (code, "•••" in out) == (0, False)
        assert command("--no-tastytrade", "--vix", "vix.csv")[0] in (0, 3)
    values = command.ask("SELECT account, net_liquidation FROM account_quarters ORDER BY account, time")
    assert values == [
        ("•••0001", 111_980.0), ("•••0001", 112_410.5), ("•••0001", 112_635.0), ("•••0002", 75_610.0),
        ("•••0002", 75_940.0),
    ]  # fmt: skip


def test_thirty_six_years_of_vix_are_stored_in_one_go(command: Command) -> None:
    code, out = command("--vix", str(SHARED / "data" / "vix_daily.csv"))
    assert (code, out.splitlines()[0].split()[0]) == (0, "9,202")
    first = command.ask("SELECT day, close FROM market_closes ORDER BY day LIMIT 1")
    assert first == [("1990-01-02", 17.24)]
