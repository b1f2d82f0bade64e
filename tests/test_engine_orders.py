"""Whole programs that trade the demo's market: from the simulation to the journal, over two programs and a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.demo.source import DemoSource
from guardrails import engine as engine_room
from guardrails.engine import Engine
from guardrails.errors import SourceError
from guardrails.execution.safety_file import STOP_FILE
from guardrails.execution.values import JournalEntry, JournalKind, OrderRecord
from guardrails.gate.values import Impact, OrderKind, Verdict
from guardrails.order_json import impact_of
from guardrails.orders import Order, OrderState
from guardrails.requests import Kind, Said
from guardrails.safety import Cause, SafetyState
from guardrails.settings import Settings
from guardrails.store.books import book_of
from guardrails.store.database import open_database
from guardrails.store.journal_history import JournalFilter, entries
from tests.stored import MATRIX_TEXT, eventually, wait_for_parts
from tests.stored import clock as still
from tests.wired import NUMBERS, Ticking, asked, is_ready, running, settings_of, typed

SHORT, WING = "SPXW  261211P06355000", "SPXW  261211P06330000"
"""a spread that the demo's account at IBKR has sold: 4.00 to 4.20 and 3.30 to 3.60"""
BACK = typed((SHORT, 1), limit=4.5)
"""buys the short one back, at once"""
UNCOVER = typed((WING, -1), limit=-3.2)
SHARE = typed(("SPY", 1), limit=None)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the disk is, nobody watches beside a program that does, and who is stopped has ended."""
    wait_for_parts(monkeypatch)
    monkeypatch.setattr(engine_room, "STOP_TIMEOUT_SECONDS", 60.0)


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def paper(tmp_path: Path) -> Settings:
    return settings_of(tmp_path, MATRIX_TEXT)


@pytest.fixture
def engine(paper: Settings, clock: Ticking) -> Iterator[Engine]:
    """A program that watches the demo and may trade it."""
    with running(paper, clock) as one:
        assert eventually(lambda: is_ready(one))
        yield one


def judged(engine: Engine, order: str) -> Impact:
    answer = asked(engine, Kind.SIMULATE, order=order, preview="yes")
    assert answer.said is Said.DONE, answer.words
    return impact_of(answer.content)


def sent(engine: Engine, order: str, **more: str) -> str:
    """The key of an order that was simulated and submitted."""
    impact = judged(engine, order)
    assert impact.approval is not None, impact.reasons
    told = {"rationale": "enough", "origin": "ticket", "tag": "MANUAL", **more}
    answer = asked(engine, Kind.SUBMIT, order=order, token=impact.approval.token, **told)
    assert answer.said is Said.DONE, answer.words
    return str(json.loads(answer.content)["key"])


def record(engine: Engine, key: str) -> OrderRecord:
    assert engine.orders is not None
    return next(one for one in engine.orders.records if one.key == key)


def held(engine: Engine, symbol: str) -> float:
    assert engine.assessment is not None
    rows = engine.assessment.portfolio.positions
    return sum(row.quantity or 0.0 for row in rows if row.instrument.symbol == symbol)


def ask_of(engine: Engine, symbol: str) -> float | None:
    assert engine.assessment is not None
    return next(row.ask for row in engine.assessment.portfolio.positions if row.instrument.symbol == symbol)


def journal(settings: Settings) -> list[JournalEntry]:
    """What the page would show."""
    database = open_database(settings.guardrails_data_dir, still)
    try:
        return entries(database, book_of(("demo",), settings.guardrails_demo_scenario).key, JournalFilter(), 100)
    finally:
        database.close()


def test_an_exit_goes_from_the_simulation_to_the_journal(engine: Engine, paper: Settings) -> None:
    assert held(engine, SHORT) == -1.0
    before = ask_of(engine, SHORT)
    impact = judged(engine, BACK)
    assert (impact.verdict, impact.kind) == (Verdict.ALLOW, OrderKind.EXIT)
    assert impact.natural in (before, ask_of(engine, SHORT))  # the market goes on
    key = sent(engine, BACK)
    assert eventually(lambda: record(engine, key).state is OrderState.FILLED)
    assert eventually(lambda: held(engine, SHORT) == 0.0)
    assert record(engine, key).order.account.number not in NUMBERS
    assert eventually(lambda: any(entry.after for entry in journal(paper) if entry.order_key == key))
    [entry] = [one for one in journal(paper) if one.order_key == key]
    assert (entry.kind, entry.quantity, entry.words, entry.tag) == (JournalKind.FILL, 1.0, "enough", "MANUAL")
    assert entry.before is not None
    assert entry.after is not None
    assert engine.orders is not None
    assert (engine.orders.discipline.sent, engine.orders.discipline.unguarded) == (1, 0)
    assert not [f for f in (engine.latest.findings if engine.latest else ()) if f.check == "position_change"]


def test_an_approval_is_used_once_and_selling_the_wing_first_is_no_exit(engine: Engine) -> None:
    assert judged(engine, UNCOVER).kind is OrderKind.NEW_RISK
    impact = judged(engine, BACK)
    assert impact.approval is not None
    told = [
        asked(engine, Kind.SUBMIT, order=BACK, token=impact.approval.token, rationale="", origin="ticket", tag="MANUAL")
        for _ in range(2)
    ]
    assert [one.said for one in told] == [Said.DONE, Said.REFUSED]
    assert engine.orders is not None
    assert len(engine.orders.records) == 1


def test_the_header_says_where_orders_can_go_and_which_safety_state_is_in_force(engine: Engine) -> None:
    def header() -> tuple[str, str]:
        latest = engine.latest
        return ("", "") if latest is None else (latest.trading, latest.safety_state)

    assert eventually(lambda: header() == ("paper IBKR, tastytrade", "NORMAL"))
    assert asked(engine, Kind.SAFETY, state="STOPPED", reason="storm").said is Said.DONE
    assert eventually(lambda: header() == ("paper IBKR, tastytrade", "STOPPED"))
    stopped = judged(engine, BACK)
    assert (stopped.verdict, [one.code for one in stopped.reasons]) == (Verdict.BLOCK, ["stopped"])


@pytest.mark.parametrize(("one", "words"), [("ibkr_trading", "paper tastytrade"), ("tt_trading", "paper IBKR")])
def test_with_trading_off_at_a_broker_nothing_goes_there_and_all_is_still_judged(
    tmp_path: Path, clock: Ticking, one: str, words: str
) -> None:
    with running(settings_of(tmp_path, MATRIX_TEXT, **{one: "off"}), clock) as engine:
        assert eventually(lambda: is_ready(engine))
        assert eventually(lambda: engine.latest is not None and engine.latest.trading == words)
        symbol, account = (SHORT, "4567") if one == "ibkr_trading" else ("SPXW  261204P06465000", "0001")
        order = typed((symbol, 1), limit=5.0, account=account)
        impact = judged(engine, order)
        assert impact.kind is OrderKind.EXIT
        token = "" if impact.approval is None else impact.approval.token
        answer = asked(engine, Kind.SUBMIT, order=order, token=token, rationale="", origin="ticket", tag="MANUAL")
        assert answer.said is Said.REFUSED
        assert engine.orders is not None
        assert all(record.state is OrderState.REJECTED for record in engine.orders.records)
        assert held(engine, symbol) == -1.0


def test_the_safety_state_is_the_same_after_a_restart(paper: Settings, clock: Ticking) -> None:
    with running(paper, clock) as engine:
        assert eventually(lambda: is_ready(engine))
        assert asked(engine, Kind.SAFETY, state="REDUCE_ONLY", reason="storm").said is Said.DONE
    clock.move(5)
    with running(paper, clock) as engine:
        assert eventually(lambda: is_ready(engine))
        assert engine.orders is not None
        safety = engine.orders.safety
        assert (safety.state, safety.author, safety.reason) == (SafetyState.REDUCE_ONLY, "Ann", "storm")
        assert eventually(lambda: engine.latest is not None and engine.latest.safety_state == "REDUCE_ONLY")
    assert [one.kind for one in journal(paper)].count(JournalKind.SAFETY) == 1


def test_a_file_stop_that_lay_there_before_the_start_is_obeyed(paper: Settings, clock: Ticking) -> None:
    paper.guardrails_data_dir.mkdir(mode=0o700)
    (paper.guardrails_data_dir / STOP_FILE).write_text("lunch\n", encoding="utf-8")
    with running(paper, clock) as engine:
        assert eventually(lambda: engine.orders is not None and engine.orders.safety.reason == "lunch")
        assert engine.orders is not None
        assert (engine.orders.safety.state, engine.orders.safety.cause) == (SafetyState.STOPPED, Cause.STOP_FILE)
        assert asked(engine, Kind.SAFETY, state="REDUCE_ONLY", reason="back").said is Said.DONE
        assert not (paper.guardrails_data_dir / STOP_FILE).exists()


def test_an_app_that_only_reads_asks_the_watch_and_gets_the_whole_answer(
    engine: Engine, paper: Settings, clock: Ticking
) -> None:
    with running(paper, clock) as reader:
        assert eventually(lambda: bool(reader.health().watched_by) and is_ready(reader))
        key = sent(reader, BACK)
        assert eventually(lambda: record(engine, key).state is OrderState.FILLED)
        assert eventually(
            lambda: any(one.key == key and one.filled for one in (reader.orders or engine.orders).records)
        )
        assert record(engine, key).author == "Ann"
        assert asked(reader, Kind.SAFETY, state="NO_NEW_RISK", reason="lunch").said is Said.DONE
        assert engine.orders is not None
        assert engine.orders.safety.state is SafetyState.NO_NEW_RISK
        assert eventually(lambda: reader.latest is not None and reader.latest.safety_state == "NO_NEW_RISK")
    engine.stop()  # else a file may be written anew while it is read
    kept = [path for path in paper.guardrails_data_dir.rglob("*") if path.is_file()]
    told = [path.name for path in kept if any(n.encode() in path.read_bytes() for n in NUMBERS)]
    assert set(told) <= {"demo-orders.json"}, "only the exchange that stands for the brokers knows numbers"


def records(engine: Engine) -> tuple[OrderRecord, ...]:
    """What pages see of our orders; it follows the answer to a request by a moment."""
    return () if engine.orders is None else engine.orders.records


def test_an_order_in_doubt_is_a_finding_and_keeps_new_risk_out_until_a_person_has_looked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_source: DemoSource, _order: Order, _key: str) -> None:
        raise SourceError("the line broke")

    monkeypatch.setattr(DemoSource, "submit", lost)
    impact = judged(engine, BACK)
    assert impact.approval is not None
    told = {"rationale": "", "origin": "ticket", "tag": "MANUAL"}
    asked(engine, Kind.SUBMIT, order=BACK, token=impact.approval.token, **told)
    assert engine.orders is not None
    assert eventually(lambda: [one.state for one in records(engine)] == [OrderState.UNKNOWN])
    [doubted] = records(engine)

    def found() -> list[str]:
        findings = () if engine.latest is None else engine.latest.findings
        return [f"{one.subject} {one.level.value}" for one in findings if one.check == "order_state"]

    assert eventually(lambda: found() == [f"order:{doubted.key} UNKNOWN"])
    assert eventually(lambda: engine.orders is not None and engine.orders.safety.cause is Cause.UNRECONCILED)
    assert "unreconciled" in {one.code for one in judged(engine, SHARE).reasons}
    assert asked(engine, Kind.RESOLVE, order=doubted.key, note="not there").said is Said.DONE
    assert eventually(lambda: found() == [])
    assert eventually(lambda: engine.orders is not None and engine.orders.safety.state is SafetyState.NORMAL)
