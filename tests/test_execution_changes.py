"""A position that changed and nothing says why: it stands in the journal until something or somebody does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from guardrails import accept_command
from guardrails.accept_command import accept_change
from guardrails.execution import blotter
from guardrails.execution.position_watch import PositionWatch
from guardrails.execution.values import JournalEntry, JournalKind
from guardrails.findings import Finding, Level
from guardrails.journal.trades import trades_of
from guardrails.memory import account_key
from guardrails.requests import Answer, Kind, Said
from guardrails.settings import Settings
from guardrails.values import AccountId
from tests.books import IBKR, NOW
from tests.exchange import NAME, SPX_PUT_SYMBOL, Clock, Exchange, Program, Shelf, assessed, listed
from tests.healthy import AAPL_PUT, AAPL_SHARES
from tests.test_execution_positions import HELD, PUT, WORLD, book, bought, levels, seconds
from tests.test_execution_stored import BOOK, PATIENT, stored

PUT_KEY = f"index_option:{SPX_PUT_SYMBOL}"


def stands(watch: PositionWatch, *entries: JournalEntry) -> JournalEntry:
    """What is written once one more of the short option is there and nothing says why."""
    watch.look(book(), (), entries, NOW)
    watch.look(book(HELD + 1), (), entries, seconds(1))
    [entry] = watch.look(book(HELD + 1), (), entries, seconds(17))
    assert entry.stands
    return entry


def test_a_change_that_stands_is_written_once_and_says_what_ought_to_be_held() -> None:
    watch = PositionWatch()
    entry = stands(watch)
    assert (entry.kind, entry.account, entry.owner) == (JournalKind.CHANGE, str(IBKR), account_key(IBKR))
    [leg] = entry.legs
    assert (leg.key, leg.quantity, leg.held) == (PUT.key, 1.0, HELD)
    assert "no fill, assignment or expiry explains 1 contract of it." in entry.words
    assert watch.look(book(HELD + 1), (), (entry,), seconds(19)) == ()
    [finding] = watch.findings(seconds(19), market_open=True, version="v")
    assert finding.evidence["entry"] == entry.key
    assert trades_of([entry]) == ()  # nobody knows yet whether it is one


def test_it_stands_in_the_next_life_of_the_program_as_old_as_it_was() -> None:
    entry = stands(PositionWatch())
    after = PositionWatch()
    after.look(book(HELD + 1), (), (entry,), seconds(300))
    assert levels(after, seconds(300)) == [Level.BREACH]
    # and its own book alone does not settle it: the same again, some time later
    after.look(book(HELD + 1), (), (entry,), seconds(302))
    assert levels(after, seconds(302)) == [Level.BREACH]


def test_the_next_life_counts_what_was_executed_meanwhile_and_not_twice_what_was_known() -> None:
    watch, before = PositionWatch(), bought(2.0, seconds(1), execution="known")
    watch.look(book(), (), (), NOW)
    watch.look(book(HELD + 3), (before,), (), seconds(2))
    [entry] = watch.look(book(HELD + 3), (before,), (), seconds(18))  # two of three are explained
    assert (entry.legs[0].quantity, entry.legs[0].held, entry.legs[0].execution) == (1.0, HELD + 2, ("known",))
    after, late = PositionWatch(), bought(1.0, seconds(1), execution="late")
    [told] = after.look(book(HELD + 3), (before, late), (entry,), seconds(60))
    assert not told.stands
    assert "explained by now" in told.words
    assert levels(after, seconds(90)) == []
    other = PositionWatch()
    other.look(book(HELD + 3), (before,), (entry,), seconds(60))
    assert levels(other, seconds(60)) == [Level.WATCH]


def test_what_was_assigned_before_the_end_is_no_change_in_the_next_life() -> None:
    size = WORLD.positions[AAPL_PUT].quantity or 0.0
    shares = (WORLD.positions[AAPL_SHARES].quantity or 0.0) - 100.0 * size
    watch = PositionWatch()
    watch.look(WORLD.assess().portfolio, (), (), NOW)
    gone = WORLD.position(AAPL_PUT, quantity=0.0).position(AAPL_SHARES, quantity=shares).assess().portfolio
    [entry] = watch.look(gone, (), (), seconds(2))
    after = PositionWatch()
    for second in (10, 12, 60):
        assert after.look(gone, (), (entry,), seconds(second)) == ()
    assert levels(after, seconds(90)) == []


def accepted(entry: JournalEntry) -> JournalEntry:
    return replace(entry, stands=False, author="Ann")


def test_an_accepted_change_explains_itself_and_no_other_also_after_a_restart() -> None:
    watch = PositionWatch()
    entry = accepted(stands(watch))
    assert watch.look(book(HELD + 1), (), (entry,), seconds(20)) == ()
    assert levels(watch, seconds(60)) == []
    watch.look(book(HELD + 2), (), (entry,), seconds(61))
    [other] = watch.look(book(HELD + 2), (), (entry,), seconds(80))
    assert (other.stands, other.key != entry.key) == (True, True)
    after = PositionWatch()
    after.look(book(HELD + 1), (), (entry,), seconds(100))
    after.look(book(HELD + 1), (), (entry,), seconds(101))
    assert levels(after, seconds(200)) == []


# --- as the program does it


def moved(exchange: Exchange) -> None:
    """Somebody else has traded, and no broker says so."""
    exchange.positions[IBKR][PUT_KEY] += 1.0


async def stood(program: Program) -> JournalEntry:
    """See the book until the change stands."""
    program.see()
    assert await program.until(lambda: bool(program.execution._desk.positions._changes))
    program.clock.move(16)
    program.see()
    assert await program.until(lambda: bool(program.execution.now.changes))
    [entry] = program.execution.now.changes
    return entry


def findings(program: Program) -> list[Finding]:
    found = program.execution.findings(assessed(program.exchange).limits)
    return [one for one in found if one.check == "position_change"]


def test_a_person_accepts_what_stands_with_a_reason_and_only_what_was_shown(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        async with Program(exchange, shelf, tmp_path) as program:
            assert await program.until(lambda: bool(program.execution._desk.positions._explained))
            moved(exchange)
            entry = await stood(program)
            assert (await program.ask(Kind.ACCEPT_CHANGE, entry=entry.key)).said is Said.REFUSED  # why?
            stale = await program.ask(Kind.ACCEPT_CHANGE, entry=entry.key, quantity="2", note="moved")
            assert "1 contract" in stale.words
            assert stale.said is Said.REFUSED
            other = await program.ask(Kind.ACCEPT_CHANGE, account=str(IBKR), position="QQQ", note="moved")
            assert "No such change stands unexplained; these do: IBKR" in other.words
            assert SPX_PUT_SYMBOL[:4] in other.words
            done = await program.ask(
                Kind.ACCEPT_CHANGE, account=str(IBKR), position=SPX_PUT_SYMBOL.lower(), quantity="1", note="phone trade"
            )
            assert done.said is Said.DONE, done.words
            assert await program.until(lambda: not program.execution.now.changes)
            program.see()
            assert await program.until(lambda: not findings(program))
        async with Program(exchange, shelf, tmp_path) as after:
            assert await after.until(lambda: bool(after.execution._desk.positions._explained))
            exchange.clock.move(60)
            after.see()
            await asyncio.sleep(0.1)
            assert findings(after) == []

    asyncio.run(story())
    [entry] = [one for one in shelf.entries() if one.kind is JournalKind.CHANGE]
    assert entry.author == "Ann"
    assert entry.words.endswith(": phone trade")
    assert "U0000004567" not in "".join(text for _, text in shelf.rows)


def test_what_the_database_has_of_a_change_stands_after_a_restart_however_long_ago_it_was(tmp_path: Path) -> None:
    exchange = listed()

    async def first() -> str:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, waits=PATIENT) as program:
                assert await program.until(lambda: bool(program.execution._desk.positions._explained))
                moved(exchange)
                return (await stood(program)).key

    async def second(key: str) -> None:
        with stored(tmp_path, exchange) as store:
            async with Program(exchange, store, tmp_path, waits=PATIENT) as program:
                assert await program.until(lambda: [one.key for one in program.execution.now.changes] == [key])
                program.see()  # the first look may have come before the database had answered
                assert await program.until(lambda: bool(findings(program)))
                assert findings(program)[0].level is Level.BREACH
                done = await program.ask(Kind.ACCEPT_CHANGE, entry=key, note="a transfer")
                assert done.said is Said.DONE, done.words
            assert not any(one.stands for one in store.open_deeds(*BOOK, exchange.clock()).entries)

    key = asyncio.run(first())
    exchange.clock.move(9 * 86_400)
    asyncio.run(second(key))


def test_where_the_past_cannot_be_read_it_is_not_known_what_stood(tmp_path: Path) -> None:
    exchange, shelf = listed(), Shelf()

    async def story() -> None:
        shelf.reads = False
        async with Program(exchange, shelf, tmp_path) as program:
            [finding] = findings(program)
            assert finding.level is Level.UNKNOWN
            assert "the database is down" in finding.message
            shelf.reads = True
            assert await program.until(lambda: not findings(program))
        async with Program(exchange, None, tmp_path) as program:
            [finding] = findings(program)
            assert "nothing is stored" in finding.message

    asyncio.run(story())


def test_a_change_that_was_accepted_while_the_book_was_looked_at_stays_accepted(tmp_path: Path) -> None:
    exchange = listed()

    async def story() -> None:
        async with Program(exchange, Shelf(), tmp_path) as program:
            desk = program.execution._desk
            assert await program.until(lambda: bool(desk.positions._explained))
            moved(exchange)
            entry = await stood(program)
            look = desk.positions.look

            def slow(*given: object) -> tuple[JournalEntry, ...]:
                found = look(*given)  # type: ignore[arg-type]  # handed on
                desk.deeds.remember(accepted(entry))  # as the loop does meanwhile
                return (*found, replace(entry, words="it moved on"))

            desk.positions.look = slow  # type: ignore[method-assign]  # comes between
            program.see()
            assert await program.until(lambda: not program.execution.now.changes)
            await asyncio.sleep(0.05)
            assert desk.deeds.entries[entry.key].author == "Ann"

    asyncio.run(story())


def test_what_is_shown_to_a_reader_bears_no_account_number(tmp_path: Path) -> None:
    async def story() -> None:
        exchange = listed()
        async with Program(exchange, Shelf(), tmp_path) as program:
            assert await program.until(lambda: bool(program.execution._desk.positions._explained))
            moved(exchange)
            await stood(program)
            assert IBKR.number not in str(blotter.orders_now(program.execution._desk))

    asyncio.run(story())


# --- on the command line


def test_the_command_asks_the_program_that_watches_and_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watch(kind: Kind, body: dict[str, str], *_: object) -> Answer:
        asked.append((kind, body))
        return Answer("k", NOW, Said.DONE if body["position"] == "SPY" else Said.REFUSED, "That is the word.")

    settings = Settings(_env_file=None, guardrails_data_dir=tmp_path)
    given = ("IBKR •••4567", "SPY", "a transfer", settings, [NAME], Clock())
    assert accept_change(*given) == (
        3,
        "SPY in IBKR •••4567 was not accepted (“a transfer”): nobody watches this book now.",
    )
    monkeypatch.setattr(accept_command, "ask_the_watch", watch)
    assert accept_change(*given) == (0, "That is the word.")
    assert accept_change("IBKR", "QQQ", "a transfer", settings, [NAME], Clock()) == (3, "That is the word.")
    assert accept_change("IBKR", "SPY", "  ", settings, [NAME], Clock())[0] == 64
    assert asked[0] == (
        Kind.ACCEPT_CHANGE, {"account": "IBKR •••4567", "position": "SPY", "note": "a transfer"},
    )  # fmt: skip


def test_an_account_that_is_gone_keeps_what_stands() -> None:
    entry = stands(PositionWatch())
    other = replace(entry, owner=account_key(AccountId("IBKR", "U0000000000")))
    watch = PositionWatch()
    assert watch.look(book(HELD + 1), (), (other,), seconds(60)) == ()
    assert levels(watch, seconds(60) + timedelta(hours=1)) == []
