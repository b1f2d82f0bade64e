"""What the tests of the ticket share: an engine that answers what it is told to, impacts that are made, orders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from guardrails.engine import Engine, EngineSettings
from guardrails.execution.values import OrderRecord
from guardrails.findings import Level
from guardrails.gate.values import (
    Approval,
    FindingChange,
    Impact,
    LegLine,
    MarginChange,
    Measures,
    OrderKind,
    Reason,
    StressChange,
    Verdict,
)
from guardrails.matrix import MatrixFile
from guardrails.order_json import impact_json, parse_order
from guardrails.orders import BrokerOrder, Order, OrderState
from guardrails.orders_now import Discipline, OrdersNow, TradingRow
from guardrails.requests import Answer, Kind, Said
from guardrails.safety import Safety
from guardrails.settings import Settings
from guardrails.snapshot import Snapshot
from guardrails.store.database import Database
from pages._engine import Wiring
from tests.books import IBKR, NOW, ROOT, TASTY, day
from tests.healthy import healthy
from tests.test_pages import SHELL, Clock

MATRIX_FILE = MatrixFile.open(ROOT / "risk_matrix.yaml")
SHORT, LONG = "SPXW  261218P05700000", "SPXW  261218P05600000"
ACCOUNT, OTHER = "IBKR •••4567", "tastytrade •••0001"
TODAY = day("2026-11-18")
TITLE = "SELL 5 × SPXW 18Dec26 5700P/5600P at 8.40 credit, DAY, IBKR •••4567"
VEGA = Reason("limit_newly_breached", Verdict.BLOCK, "Short vega −5,020 past −3,500.", "short_vega", "portfolio")
MARGIN = MarginChange("ibkr", 40_000.0, 52_000.0, 32_000.0, 41_600.0, 58_400.0, 4.2, "USD")
TRADING = (
    TradingRow(ACCOUNT, "ibkr", "", paper=True),
    TradingRow(OTHER, "tastytrade", "Trading is off for tastytrade"),
)
SNAPSHOT = healthy().assess().snapshot

Body = Mapping[str, str]
Script = Callable[[str, Body], Answer | None]


@dataclass
class Asked:
    """One request, as it was asked."""

    kind: str
    body: Body
    key: str
    author: str


class Desk(Engine):
    """An engine that runs nothing: it shows what it was given, notes what it is asked, and answers by its script."""

    def __init__(self, folder: Path, script: Script, orders: OrdersNow | None, watched_by: str = "") -> None:
        self.clock = Clock()
        settings = EngineSettings(folder, refresh_seconds=2.0)
        super().__init__([], MATRIX_FILE, settings, self.clock)
        self.script, self.asked = script, list[Asked]()
        self.orders_now = orders
        self._last.watched_by = watched_by
        self._last.snapshot = SNAPSHOT

    @property
    def orders(self) -> OrdersNow | None:
        return self.orders_now

    def ask(self, kind: str, body: Body, author: str) -> str:
        key = f"k{len(self.asked)}"
        self.asked.append(Asked(kind, dict(body), key, author))
        return key

    def answer(self, key: str) -> Answer | None:
        one = next(one for one in self.asked if one.key == key)
        told = self.script(one.kind, one.body)
        return None if told is None else replace(told, key=key)

    def of(self, kind: str) -> list[Asked]:
        return [one for one in self.asked if one.kind == kind]

    def pass_(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)


def done(content: str = "", words_: str = "Done") -> Answer:
    return Answer("", NOW, Said.DONE, words_, content)


def refused(words_: str, content: str = "") -> Answer:
    return Answer("", NOW, Said.REFUSED, words_, content)


def order_of(body: Body) -> Order:
    """The order in a request, as the program that watches reads it: with full account numbers."""
    return parse_order(body["order"], (IBKR, TASTY), TODAY)[0]


def impact(order: Order, **more: Any) -> Impact:
    """An order that passes, on a broker's margin, with nothing that moves but vega."""
    legs = tuple(
        LegLine(
            "BUY" if leg.ratio > 0 else "SELL", abs(leg.ratio) * order.quantity, leg.instrument.symbol,
            leg.instrument.label, 0.0, float(leg.ratio * order.quantity), 8.3, 8.5, -0.2, 0.18,
        )
        for leg in order.legs
    )  # fmt: skip
    vega = FindingChange("short_vega", "portfolio", Level.OK, Level.WATCH, -2_100.0, -3_300.0, -3_500.0, "USD/pt",
                         message="Short vega is −3,300.")  # fmt: skip
    found = Impact(
        NOW, order, TITLE, Verdict.ALLOW, OrderKind.NEW_RISK, (), legs, (vega,),
        Measures(500_000.0, 10_000.0, 9_000.0, -800.0, -2_100.0, -1_900.0, 150.0, 100_000.0),
        Measures(500_000.0, 12_000.0, 9_000.0, -800.0, -3_300.0, None, 190.0, 104_200.0),
        MARGIN, StressChange(-40_000.0, -46_000.0, "−20 %", "−20 %", ((-0.2, -40_000.0, -46_000.0), (0.0, 0.0, 0.0))),
        None, -8.4, -8.2, matrix_version="abc123",
    )  # fmt: skip
    return replace(found, **more)


def approval(at: datetime = NOW, token: str = "t1") -> Approval:  # noqa: S107  # not a password
    return Approval(token, at + timedelta(seconds=30))


@dataclass
class Gate:
    """Answers simulations as the program that watches would: what is not asked of the broker gives no approval."""

    more: dict[str, Any] = field(default_factory=dict)
    """of an Impact that is judged with the broker's margin"""
    desk: Desk | None = None
    silent: set[str] = field(default_factory=set)
    """kinds that are never answered"""
    submitted: Answer = field(default_factory=lambda: done('{"key": "o1", "state": "SENT"}', "Sent"))
    other: dict[str, Answer] = field(default_factory=dict)
    given: dict[tuple[str, int], Impact] = field(default_factory=dict)

    def __call__(self, kind: str, body: Body) -> Answer | None:
        if kind in self.silent:
            return None
        if kind == Kind.SIMULATE:
            return done(impact_json(self.judge(body)))
        if kind == Kind.SUBMIT:
            return self.submitted
        return self.other.get(kind)

    def judge(self, body: Body) -> Impact:
        order, now = order_of(body), NOW if self.desk is None else self.desk.now()
        if body["preview"] == "no":
            unasked = Reason("margin_unknown", Verdict.BLOCK, "The margin is not known.")
            return impact(order, time=now, verdict=Verdict.BLOCK, reasons=(unasked,), margin=MarginChange(""))
        found = impact(order, **{"time": now, **self.more})
        if found.verdict is Verdict.BLOCK:
            return found
        checks = 0 if self.desk is None else sum(one.body["preview"] == "yes" for one in self.desk.of(Kind.SIMULATE))
        return self.given.setdefault((body["order"], checks), replace(found, approval=approval(now, f"t{checks}")))


def orders_now(**more: Any) -> OrdersNow:
    return replace(OrdersNow(NOW, Safety(), TRADING, discipline=Discipline(3, 1, 0, 2)), **more)


def record(state: OrderState = OrderState.WORKING, **more: Any) -> OrderRecord:
    order, _ = parse_order(written(), (IBKR, TASTY), TODAY)
    found = OrderRecord("o1", replace(order, account=order.account.hidden), state, NOW - timedelta(minutes=5),
                        NOW - timedelta(seconds=40), "anna", "ticket", filled=2.0, limit=-8.4)  # fmt: skip
    return replace(found, **more)


def other_order(**more: Any) -> BrokerOrder:
    order = record().order
    found = BrokerOrder(order.account, "771", "", order.legs[:1], 3.0, 1.0, OrderState.WORKING, -2.5, "GTC", "TWS")
    return replace(found, **more)


def written(quantity: int = 5, limit: float = -8.4) -> str:
    legs = [
        {"symbol": SHORT, "side": "SELL", "quantity": quantity},
        {"symbol": LONG, "side": "BUY", "quantity": quantity},
    ]
    return json.dumps({"account": ACCOUNT, "order_type": "LIMIT", "limit_price": limit, "tif": "DAY", "legs": legs})


Open = Callable[..., tuple[Desk, AppTest]]


def opened(folder: Path, monkeypatch: Any, gate: Script, orders: OrdersNow | None, **more: Any) -> tuple[Desk, AppTest]:
    """The ticket page of an engine that answers by `gate`; `snapshot`, `database` and `watched_by` may be named."""
    snapshot: Snapshot | None = more.pop("snapshot", SNAPSHOT)
    database: Database | None = more.pop("database", None)
    desk = Desk(folder, gate, orders, **more)
    desk._last.snapshot = snapshot
    if isinstance(gate, Gate):
        gate.desk = desk
    monkeypatch.setattr("pages._engine.wiring", lambda: Wiring(desk, None, Settings(), database))
    at = AppTest.from_file(SHELL, default_timeout=30).run()
    at = at.switch_page("ticket.py").run()
    assert not at.exception, at.exception
    return desk, at


def write(at: AppTest, quantity: int = 5, limit: float | None = -8.4) -> AppTest:
    """Type a put spread, as a person does."""
    at.selectbox(key="ticket_account").set_value(ACCOUNT)
    at = at.button(key="ticket_add").click().run() if len(symbols(at)) < 2 else at
    at.button_group(key="ticket_side_0").set_value("SELL")
    at.text_input(key="ticket_symbol_0").set_value(SHORT)
    at.text_input(key="ticket_symbol_1").set_value(LONG)
    at.number_input(key="ticket_packages").set_value(quantity)
    if limit is not None:
        at.number_input(key="ticket_limit").set_value(limit)
    return run(at)


def symbols(at: AppTest) -> list[Any]:
    return [one for one in at.text_input if str(one.key).startswith("ticket_symbol_")]


def run(at: AppTest) -> AppTest:
    at = at.run()
    assert not at.exception, at.exception
    return at


def click(at: AppTest, key: str) -> AppTest:
    at = at.button(key=key).click().run()
    assert not at.exception, at.exception
    return at


def has(at: AppTest, key: str) -> bool:
    return any(one.key == key for one in at.button)
