"""Everything that goes wrong with TWS has a name, darkens what it touches, and ends by itself: on the wire, with the
real client library."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import pytest

from adapters.ibkr import conditions
from adapters.ibkr.source import Gateway, IbkrSource
from adapters.ibkr.supervisor import Supervisor
from guardrails.findings import Level
from guardrails.values import SourceState, View
from tests.brokers.tws import Tws
from tests.ibkr import ACCOUNT, clock, condition, connected, judged, mixed, reading, run, settled, until

DARK = {SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING}


@pytest.fixture
def tws() -> Iterator[Tws]:
    with Tws(mixed()) as server:
        yield server


def nothing_is_green(view: View) -> None:
    """No check of the book clears anything."""
    own_feed = {"market_regime", "clock_skew"}
    findings = judged(view).snapshot.findings
    assert [f for f in findings if f.check not in own_feed and f.level in (Level.OK, Level.WATCH)] == []
    assert view.source.state in DARK


def test_nothing_listens() -> None:
    async def work() -> None:
        with socket.socket() as silent:  # what is bound and does not listen keeps the port from all others
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            source = IbkrSource(Gateway(port=port), clock)
            view = await condition(source, "refused")
            assert view.source.state is SourceState.DOWN
            assert str(port) in view.source.detail
            assert "4002" in view.source.action
            nothing_is_green(view)
            await until(source, lambda view: view.source.retries >= 2)
            await source.close()

    run(work())


def test_a_client_id_that_stays_taken_is_tried_again_every_few_seconds() -> None:
    """Until TWS lets go of a program that died nothing can be sent: ten seconds more of that are too many."""
    kept = Supervisor(Gateway(), clock)
    kept.retries = 20
    taken = conditions.of_handshake({326: ""}, closed=True, host="127.0.0.1", port=4002, client_id=17)
    assert 1.0 <= kept._pause(taken) <= 4.0
    assert "close positions in TWS" in taken.action


@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        ("client_id_in_use", "client_id_in_use", "17"),
        ("close_at_handshake", "api_not_enabled", "closes it"),
        ("never_handshake", "no_handshake", "does not speak"),
        ("mute_positions", "positions_unanswered", "positions"),
        ("mute_account_updates", "account_unanswered", "account figures"),
    ],
)
def test_a_connection_that_cannot_be_made_is_named_and_is_made_when_it_can_be(
    tws: Tws, monkeypatch: pytest.MonkeyPatch, fault: str, name: str, words: str
) -> None:
    monkeypatch.setattr("adapters.ibkr.session.PHASE_SECONDS", 1.0)  # half of these wait for it in vain

    async def work() -> None:
        tws.fault(fault)
        async with reading(tws) as source:
            view = await condition(source, name)
            assert words in view.source.detail
            assert view.source.action
            nothing_is_green(view)
            monkeypatch.undo()  # what answers may take longer
            tws.mend(fault)
            assert (await until(source, lambda v: v.source.state not in DARK, 40)).positions

    run(work())


def test_something_else_listens_on_the_port() -> None:
    """A web server, for example: it closes on what it cannot read, or says nothing."""

    async def work() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        source = IbkrSource(Gateway(port=server.sockets[0].getsockname()[1]), clock)
        view = await until(source, lambda view: view.source.condition in ("api_not_enabled", "no_handshake"))
        nothing_is_green(view)
        await source.close()
        server.close()

    run(work())


def test_an_account_this_login_does_not_have(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws, account="DU9999999") as source:
            view = await condition(source, "account_unknown")
            assert "•••9999" in view.source.detail
            assert "•••4567" in view.source.detail
            assert "DU9999999" not in repr(view)
            assert "IBKR_ACCOUNT" in view.source.action
            nothing_is_green(view)

    run(work())


def test_a_named_account_is_read_alone(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws, account=ACCOUNT) as source:
            view = await connected(source)
            assert {account.id.number for account in view.accounts} == {ACCOUNT}

    run(work())


@pytest.mark.parametrize(
    ("hurt", "heal", "names"),
    [
        (lambda t: t.drop(), lambda t: None, {"dropped", "refused", "api_not_enabled"}),
        (lambda t: (t.refuse(), t.drop()), lambda t: t.listen(), {"dropped", "refused"}),
        (lambda t: t.silence(silent=True), lambda t: t.silence(silent=False), {"not_answering"}),
        (lambda t: t.say(1100), lambda t: t.say(1102), {"link_lost", "nightly_reset"}),
        (lambda t: t.say(1100), lambda t: t.say(1101), {"link_lost", "nightly_reset"}),
        (lambda t: t.say(2110), lambda t: t.say(1102), {"link_lost", "nightly_reset"}),
        (lambda t: t.say(2103), lambda t: t.say(2104), {"farm_broken"}),
        (lambda t: t.fault("mute_time"), lambda t: t.mend("mute_time"), {"not_answering"}),
    ],
    ids=["drop", "refuse", "half-open", "1100-1102", "1100-1101", "2110-1102", "farm", "mute-time"],
)
def test_a_lost_link_keeps_the_last_book_marked_and_comes_back(
    tws: Tws, hurt: Callable[[Tws], object], heal: Callable[[Tws], object], names: set[str]
) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            before = await connected(source)
            hurt(tws)
            view = await until(source, lambda view: view.source.state in DARK)
            assert view.source.condition in names
            assert {p.instrument.key for p in view.positions} == {p.instrument.key for p in before.positions}
            nothing_is_green(view)
            heal(tws)
            after = await until(source, lambda view: view.source.state not in DARK, 20)
            assert {p.instrument.key for p in after.positions} == {p.instrument.key for p in before.positions}
            assert after.source.retries == 0

    run(work())


def test_change_is_told_at_once(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            await connected(source)
            told = asyncio.ensure_future(_next_dark(source))
            tws.refuse()
            tws.drop()
            assert (await asyncio.wait_for(told, 20)).source.state is SourceState.DOWN
            told = asyncio.ensure_future(_next_light(source))
            tws.listen()
            assert (await asyncio.wait_for(told, 20)).positions

    run(work())


async def _next(source: IbkrSource, *, dark: bool) -> View:
    while True:
        view = await source.view(clock())
        if (view.source.state in DARK) is dark:
            return view
        await source.changed()


def _next_dark(source: IbkrSource) -> Awaitable[View]:
    return _next(source, dark=True)


def _next_light(source: IbkrSource) -> Awaitable[View]:
    return _next(source, dark=False)


def test_an_empty_answer_after_a_drop_is_not_a_flat_book(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            before = await connected(source)
            tws.fault("empty_positions")
            tws.drop()
            view = await condition(source, "empty_positions_doubted")
            assert len(view.positions) == len(before.positions)
            nothing_is_green(view)
            tws.mend("empty_positions")
            assert (await until(source, lambda view: view.source.state not in DARK)).positions

    run(work())


def test_an_empty_book_at_the_start_is_not_believed_either(tws: Tws) -> None:
    async def work() -> None:
        tws.fault("empty_positions")
        async with reading(tws) as source:
            view = await condition(source, "empty_positions_doubted")
            assert judged(view).snapshot.totals.delta_dollars is None
            nothing_is_green(view)

    run(work())


def test_an_account_that_lists_nothing_although_it_holds_something_is_not_believed(tws: Tws) -> None:
    """Half a list is as dangerous as none: the other account's rows would look like the whole book."""

    async def work() -> None:
        async with reading(tws) as source:
            before = await connected(source)
            rows = dict(tws.book.positions)
            for place in [place for place in rows if place[0] != ACCOUNT]:
                del tws.book.positions[place]
            tws.drop()
            view = await condition(source, "empty_positions_doubted")
            assert len(view.positions) == len(before.positions)
            nothing_is_green(view)
            tws.book.positions.update(rows)
            assert len((await until(source, lambda v: v.source.state not in DARK)).positions) == len(before.positions)

    run(work())


def test_positions_pushed_away_one_by_one_are_not_a_flat_book(tws: Tws) -> None:
    """The last row of an account goes only when the whole list and the account's figures agree."""

    async def work() -> None:
        async with reading(tws) as source:
            await connected(source)
            tws.fault("empty_positions")
            for account, con_id in list(tws.book.positions):
                tws.set_position(account, con_id, 0)
            view = await condition(source, "empty_positions_doubted", 8)  # sooner than the next whole list
            assert view.positions
            nothing_is_green(view)
            for account in tws.book.accounts:
                tws.set_value(account, "GrossPositionValue", "0.00", "USD")
                tws.set_value(account, "MaintMarginReq", "0.00", "USD")
            view = await until(source, lambda v: v.source.state not in DARK)
            assert [p for p in view.positions if p.instrument.kind.value != "cash"] == []

    run(work())


def test_an_account_that_disappears_from_the_login_is_missed(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            before = await connected(source)
            other = next(number for number in tws.book.accounts if number != ACCOUNT)
            figures = tws.book.accounts.pop(other)
            tws.drop()
            view = await condition(source, "account_gone")
            assert f"•••{other[-4:]}" in view.source.detail
            assert len(view.positions) == len(before.positions)
            nothing_is_green(view)
            tws.book.accounts[other] = figures
            await until(source, lambda v: v.source.state not in DARK, 30)

    run(work())


def test_a_book_that_is_flat_by_the_accounts_own_figures_is_believed(tws: Tws) -> None:
    async def work() -> None:
        for account in tws.book.accounts:
            tws.set_value(account, "GrossPositionValue", "0.00", "USD")
            tws.set_value(account, "MaintMarginReq", "0.00", "USD")
        tws.fault("empty_positions")
        async with reading(tws) as source:
            view = await connected(source)
            assert [p for p in view.positions if p.instrument.kind.value != "cash"] == []

    run(work())


def test_positions_that_are_no_longer_answered_are_noticed_behind_busy_quotes(
    tws: Tws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.ibkr.session.CONFIRM_SECONDS", 0.2)
    monkeypatch.setattr("adapters.ibkr.state.POSITIONS_SILENT_SECONDS", 1.0)

    async def work() -> None:
        async with reading(tws) as source:
            await connected(source)
            tws.stream(5)
            tws.fault("mute_positions")
            view = await condition(source, "positions_unanswered")
            assert view.source.state is SourceState.STALE
            stream = next(s for s in view.source.streams if s.name == "positions")
            assert stream.works is False
            nothing_is_green(view)

    run(work())


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, Level.OK), (5.0, Level.WATCH), (-5.0, Level.WATCH)])
def test_a_clock_that_differs_is_a_finding(tws: Tws, seconds: float, expected: Level) -> None:
    async def work() -> None:
        tws.fault("skew", seconds=seconds)
        async with reading(tws) as source:
            await connected(source)
            view = await until(source, lambda view: view.source.clock_skew is not None)
            found = next(f for f in judged(view).snapshot.findings if f.check == "clock_skew")
            assert found.level is expected
            if seconds:
                assert view.source.clock_skew is not None
                assert abs(view.source.clock_skew - seconds) < 1.1

    run(work())


def test_optional_answers_that_never_come_do_not_stop_the_book(tws: Tws) -> None:
    async def work() -> None:
        for name in ("mute_executions", "mute_completed", "mute_open_orders", "mute_pnl", "mute_history"):
            tws.fault(name)
        async with reading(tws) as source:
            view = await connected(source)
            assert view.positions
            assert all(account.day_pnl is None for account in view.accounts)
            view = await until(source, lambda v: all(p.day_pnl is None for p in v.positions))
            assert view.positions

    run(work())


def test_a_login_that_answers_only_one_of_the_account_requests_is_read_all_the_same(tws: Tws) -> None:
    """Some gateways block one of the two downloads (an option expiring in the money tonight)."""

    async def work() -> None:
        async with reading(tws) as source:
            await connected(source)
            positions = tws.asked["reqPositions"]
            await asyncio.sleep(1.0)
            assert tws.asked["reqPositions"] == positions  # once per cycle, not per look
            assert tws.asked["reqAccountUpdatesMulti"] == len(tws.book.accounts)

    run(work())


def test_contract_that_cannot_be_qualified_is_unknown_alone(tws: Tws) -> None:
    async def work() -> None:
        future = next(n for n, row in tws.book.contracts.items() if row["secType"] == "FUT")
        tws.fault("contract_unknown", conIds=[future])
        async with reading(tws) as source:
            view = await settled(source)
            bad = [p for p in view.positions if p.reasons]
            assert any("200" in reason for p in bad for reason in p.reasons)
            assert len(bad) < len(view.positions)
            assert judged(view).snapshot.level.rank >= Level.UNKNOWN.rank

    run(work())


@pytest.mark.parametrize("fault", ["unset_greeks", "nan_greeks", "sentinel_greeks", "no_greeks"])
def test_greeks_that_are_none_are_never_zero(tws: Tws, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr("adapters.ibkr.source.GREEKS_SECONDS", 1.0)  # none will come, however long they are waited for

    async def work() -> None:
        tws.fault(fault)
        async with reading(tws) as source:
            view = await settled(source)
            options = [p for p in view.positions if p.instrument.is_option]
            assert options
            assert all(p.greeks is None for p in options)

    run(work())


def test_account_values_that_are_no_numbers_are_absent(tws: Tws) -> None:
    async def work() -> None:
        for tag in ("NetLiquidation", "ExcessLiquidity", "MaintMarginReq"):
            tws.set_value(ACCOUNT, tag, "N/A", "USD")
        async with reading(tws) as source:
            view = await connected(source)
            account = next(a for a in view.accounts if a.id.number == ACCOUNT)
            assert account.net_liquidation is None
            found = {f.check: f.level for f in judged(view).snapshot.findings if f.subject == f"account:{account.id}"}
            assert found["account_data"] is Level.UNKNOWN
            assert found["margin_cushion"] is Level.UNKNOWN

    run(work())


def test_a_currency_without_a_rate_makes_its_rows_unknown(tws: Tws) -> None:
    async def work() -> None:
        stock = next(n for (_, n) in tws.book.positions if tws.book.contracts[n]["secType"] == "STK")
        tws.book.contracts[stock]["currency"] = "CHF"
        async with reading(tws) as source:
            view = await settled(source)
            snapshot = judged(view).snapshot
            row = next(row for row in snapshot.positions if row.currency == "CHF")
            assert row.delta_dollars is None
            assert any("no rate from CHF" in reason for reason in row.reasons)

    run(work())


def test_a_position_of_unknown_type_is_listed_and_unknown(tws: Tws) -> None:
    async def work() -> None:
        stock = next(n for (_, n) in tws.book.positions if tws.book.contracts[n]["secType"] == "STK")
        tws.book.contracts[stock]["secType"] = "XYZ"
        async with reading(tws) as source:
            view = await settled(source)
            assert any("XYZ" in reason for p in view.positions for reason in p.reasons)
            assert judged(view).snapshot.totals.delta_dollars is None

    run(work())


@pytest.mark.parametrize(("code", "delayed"), [(354, False), (10089, True), (10168, True)])
def test_a_missing_permission_is_said_and_delayed_quotes_are_marked(tws: Tws, code: int, delayed: bool) -> None:  # noqa: FBT001
    async def work() -> None:
        stock = next(n for (_, n) in tws.book.positions if tws.book.contracts[n]["symbol"] == "SPY")
        tws.fault("no_permission", code=code, conIds=[stock])
        async with reading(tws) as source:
            await settled(source)

            def said(view: View) -> str:
                row = next(p for p in view.positions if p.instrument.symbol == "SPY")
                return " ".join((*row.notes, *view.source.warnings))

            # the refusal is said first, and for a moment also where delayed quotes then come
            view = await until(source, lambda view: ("delayed" if delayed else str(code)) in said(view))
            assert ("delayed" in said(view)) is delayed
            found = next(f for f in judged(view).snapshot.findings if f.check == "source_state")
            assert found.level.rank >= Level.WATCH.rank

    run(work())


def test_a_delayed_underlying_does_not_displace_the_models_own_price(tws: Tws) -> None:
    """The option model names an underlying price of now; the delayed quote is a quarter of an hour old."""

    async def work() -> None:
        spx = next(n for n, row in tws.book.contracts.items() if row["symbol"] == "SPX" and row["secType"] == "IND")
        tws.fault("no_permission", code=10089, conIds=[spx])
        async with reading(tws) as source:
            view = await settled(source)
            assert view.market.prices["SPX"].source == "ibkr model"
            assert (clock() - view.market.prices["SPX"].time).total_seconds() < 60

    run(work())


def test_a_broken_subscription_is_asked_for_anew(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            await settled(source)
            session = source._kept.session
            assert session is not None
            numbers = list(session.ib.wrapper.reqId2Ticker)
            asked = tws.asked["reqMktData"]
            tws.say(10182, "Failed to request live updates (disconnected).", req_id=numbers[0])
            await until(source, lambda _: tws.asked["reqMktData"] == asked + 1)

    run(work())


def test_a_competing_session_is_said(tws: Tws) -> None:
    async def work() -> None:
        tws.fault("competing_session")
        async with reading(tws) as source:
            view = await until(source, lambda v: any("logged in elsewhere" in w for w in v.source.warnings))
            assert judged(view).snapshot.level.rank >= Level.UNKNOWN.rank

    run(work())


def test_more_options_than_lines_take_turns(tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.ibkr.streams.DWELL", timedelta(seconds=0.5))

    async def work() -> None:
        async with reading(tws, lines=8) as source:
            await settled(source)

            def whole(view: View) -> bool:
                options = [p for p in view.positions if p.instrument.is_option]
                return bool(options) and all(p.greeks is not None for p in options)

            view = await until(source, whole)  # who was too slow in its turn speaks in its next
            assert tws.most_lines <= 8
            assert any("in turns" in warning for warning in view.source.warnings)
            assert any("in turns" in note for p in view.positions for note in p.notes)
            kept = source._kept.session
            assert kept is not None
            turns, lost = tws.asked["reqMktData"], []
            tws.fault("no_greeks")  # what was known keeps its age, whoever has the line

            def in_turn(view: View) -> bool:
                lost.extend(p.instrument.label for p in view.positions if p.instrument.is_option and p.greeks is None)
                return tws.asked["reqMktData"] > turns + 5

            await until(source, in_turn)
            assert lost == []
            assert len(kept.ib.wrapper.reqId2Ticker) <= 8 + 1  # the library keeps no ticker of a turn that is over
            assert len(kept.ib.wrapper.tickers) <= 8 + 1

    run(work())


def test_tws_with_fewer_lines_than_we_were_told(tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.ibkr.source.GREEKS_SECONDS", 1.0)  # more options than lines: not all will come

    async def work() -> None:
        tws.max_lines = 8
        async with reading(tws, lines=100) as source:
            view = await settled(source)
            assert tws.lines <= 8
            assert any("in turns" in warning for warning in view.source.warnings)

    run(work())


def test_nothing_is_ever_placed(tws: Tws) -> None:
    async def work() -> None:
        async with reading(tws) as source:
            await settled(source)
        assert tws.orders == []

    run(work())
