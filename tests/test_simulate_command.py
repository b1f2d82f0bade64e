"""`guardrails simulate` where nobody watches: one look, the gate's verdict as an exit code, and nothing sent."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from guardrails import simulate_command
from guardrails.errors import OrderError, SourceError
from guardrails.execution.safety_file import SAFETY_FILE, STOP_FILE, SafetyFile
from guardrails.matrix import RiskMatrix
from guardrails.memory import sources_key, write_memory
from guardrails.orders import BrokerOrder, Figure, Leg, Order, OrderState, Preview
from guardrails.recording import STATE_FILE
from guardrails.safety import SafetyState
from guardrails.settings import Settings
from guardrails.simulate_command import Asked, answer, read_text
from guardrails.symbols import parse
from guardrails.values import AccountId, Greeks, Position, Quote, View
from tests.books import IBKR, NOW, TASTY
from tests.exchange import CLOSE_PUT, LONG_PUT_SYMBOL, NAME, SPX_PUT_SYMBOL, Clock, Exchange, Line, listed, typed
from tests.healthy import GENEROUS_MATRIX, World, edited, healthy
from tests.stored import MATRIX_TEXT as GENEROUS_TEXT

HEALTHY = healthy()
OPEN = typed((LONG_PUT_SYMBOL, -1), limit=-9.9)
"""sells a put that nobody holds: new risk"""
NUMBERS = (IBKR.number, TASTY.number)


class Broker(Line):
    """The healthy book at a broker that quotes what it is asked for, and can fail wherever the test says."""

    def __init__(self, exchange: Exchange, world: World = HEALTHY) -> None:
        super().__init__(exchange)
        self.world, self.closed, self.views = world, 0, 0
        self.quotes = True
        self.fails: Exception | None = None
        self.fails_after: int | None = None

    async def view(self, now: datetime) -> View:
        self.views += 1
        if self.fails is not None and (self.fails_after is None or self.views > self.fails_after):
            raise self.fails
        view, market = self.world.view(), self.world.view().market
        keys = [one.key for one in (self.looked_at[-1] if self.looked_at and self.quotes else ())]
        quotes = {key: Quote(9.9, 10.1, now, NAME) for key in keys}
        greeks = {key: Greeks(-0.1, 0.0004, 3.0, -1.0, 0.19, NAME, now) for key in keys}
        told = replace(market, quotes={**market.quotes, **quotes}, greeks={**market.greeks, **greeks})
        return replace(view, market=told)

    async def preview(self, order: Order) -> Preview:
        self.previews += 1
        if self.preview_hangs:
            await asyncio.Event().wait()
        margin, equity = Figure(50_000.0, 1_000.0, 51_000.0), Figure(500_000.0, 0.0, 500_000.0)
        return Preview(self.exchange.clock(), margin, margin, equity, "USD")

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Told:
    """How the command ended and what it printed."""

    code: int
    out: str

    @property
    def codes(self) -> set[str]:
        return {reason["code"] for reason in json.loads(self.out)["reasons"]}


Judge = Callable[..., Told]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder in which the losses of the day are known."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "data").mkdir()
    write_memory(tmp_path / "data" / STATE_FILE, [NAME], HEALTHY.memory)
    return tmp_path / "data"


@pytest.fixture
def broker() -> Broker:
    return Broker(listed())


@pytest.fixture
def judge(folder: Path, broker: Broker, capsys: pytest.CaptureFixture[str]) -> Judge:
    def told(order: str, *, as_json: bool = True, matrix: RiskMatrix = GENEROUS_MATRIX, **settings: Any) -> Told:
        asked = Asked(order, Settings(guardrails_data_dir=folder, _env_file=None, **settings), matrix, [NAME])
        code = answer(asked, [broker], broker.exchange.clock, as_json=as_json)
        printed = capsys.readouterr()
        assert not any(number in printed.out + printed.err for number in NUMBERS)
        return Told(code, printed.out)

    return told


# --- verdicts


def test_an_exit_is_allowed_and_nothing_is_sent(judge: Judge, broker: Broker) -> None:
    told = judge(CLOSE_PUT)
    document = json.loads(told.out)
    assert (told.code, document["verdict"], document["kind"], document["approval"]) == (0, "ALLOW", "EXIT", None)
    assert broker.exchange.log == []
    assert broker.closed == 1


def test_new_risk_is_allowed_once_its_legs_are_quoted_and_the_broker_has_said_the_margin(
    judge: Judge, broker: Broker
) -> None:
    told = judge(OPEN)
    document = json.loads(told.out)
    assert (told.code, document["verdict"], document["kind"]) == (0, "ALLOW", "NEW_RISK")
    assert [one.symbol for one in broker.looked_at[-1]] == [LONG_PUT_SYMBOL]
    assert broker.previews == 1
    assert document["margin"]["source"] == NAME


def test_a_warning_is_one_and_a_block_is_two(judge: Judge) -> None:
    near = edited({"regimes.*.limits.max_position_contracts": 2}, GENEROUS_TEXT)  # two are at it, and not over
    warned = judge(typed((LONG_PUT_SYMBOL, -2), limit=-9.9), matrix=near)
    assert (warned.code, warned.codes) == (1, {"limit_near"})
    blocked = judge(typed((LONG_PUT_SYMBOL, -3), limit=-9.9), matrix=near)
    assert (blocked.code, "limit_newly_breached" in blocked.codes) == (2, True)
    assert json.loads(blocked.out)["max_quantity"] == 2


def test_the_words_begin_with_verdict_kind_and_title(judge: Judge) -> None:
    told = judge(CLOSE_PUT, as_json=False)
    assert told.out.startswith("ALLOW  EXIT  BUY 1 × SPXW 18Dec26 5590P")
    assert f"Margin as {NAME} says: " in told.out
    assert "Worst stress: " in told.out


# --- what is not known


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda broker: setattr(broker, "preview_hangs", True), "margin_unknown"),
        (lambda broker: setattr(broker.exchange, "silent", True), "orders_unknown"),
        (lambda broker: setattr(broker, "quotes", False), "no_quote"),
    ],
)
def test_what_a_broker_does_not_say_blocks_new_risk_and_no_exit(
    judge: Judge, broker: Broker, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Any], None], code: str
) -> None:
    monkeypatch.setattr(simulate_command, "QUOTES_SECONDS", 0.05)
    monkeypatch.setattr(simulate_command, "PREVIEW_SECONDS", 0.05)
    monkeypatch.setattr(simulate_command, "_LOOK_SECONDS", 0.01)
    fault(broker)
    told = judge(OPEN)
    assert told.code == 2
    assert code in told.codes
    assert judge(CLOSE_PUT).code in (0, 1)


def test_orders_that_rest_at_the_broker_count(judge: Judge, broker: Broker) -> None:
    """A resting purchase of the short put uses the exit up: a second one would turn it."""
    leg = Leg(parse(SPX_PUT_SYMBOL, NOW.date()), 1)
    broker.exchange.add(BrokerOrder(IBKR, "r9", "", (leg,), 1.0, 0.0, OrderState.WORKING, 9.0, sender="TWS"))
    assert json.loads(judge(CLOSE_PUT).out)["kind"] != "EXIT"


def test_a_source_that_dies_while_the_legs_are_quoted_makes_the_book_unknown(
    judge: Judge, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate_command, "QUOTES_SECONDS", 1.0)
    broker.fails, broker.fails_after = SourceError("the line broke"), 1
    told = judge(OPEN)
    assert told.code == 2
    assert "book_gaps" in told.codes
    assert broker.closed == 1


def test_a_source_that_cannot_be_read_at_all_is_named_and_closed(judge: Judge, broker: Broker) -> None:
    broker.fails = SourceError("U7654321 is not of this login")
    with pytest.raises(OrderError, match=r"no account is known.*test is down \(•••4321 is not of this login\)\.$"):
        judge(OPEN)
    assert broker.closed == 1


class Reader:
    """A statement: it tells a book and takes no orders."""

    name = NAME

    async def view(self, now: datetime) -> View:
        return HEALTHY.view()

    async def close(self) -> None:
        return


def test_a_book_of_statements_has_no_margin_to_ask_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(CLOSE_PUT, Settings(guardrails_data_dir=folder, _env_file=None), GENEROUS_MATRIX, [NAME])
    assert answer(asked, [Reader()], Clock(), as_json=True) in (0, 1)
    blocked = replace(asked, text=OPEN)
    capsys.readouterr()
    assert answer(blocked, [Reader()], Clock(), as_json=True) == 2
    assert "margin_unknown" in Told(2, capsys.readouterr().out).codes


# --- the safety state


def test_a_file_stop_blocks_even_an_exit_here_too(judge: Judge, folder: Path) -> None:
    (folder / STOP_FILE).write_text("lunch\n", encoding="utf-8")
    told = judge(CLOSE_PUT)
    assert (told.code, told.codes) == (2, {"stopped"})
    assert (folder / STOP_FILE).exists(), "only who watches obeys it"


def test_the_state_that_was_set_last_counts_and_is_not_changed(judge: Judge, folder: Path) -> None:
    safety = SafetyFile(folder, lambda _: None)
    safety.open(sources_key([NAME]), None, NOW)
    safety.change(SafetyState.REDUCE_ONLY, "Ann", "storm", NOW, NOW - NOW)
    before = (folder / SAFETY_FILE).read_bytes()
    assert judge(CLOSE_PUT).code == 0
    told = judge(OPEN)
    assert (told.code, told.codes) == (2, {"safety_state"})
    assert (folder / SAFETY_FILE).read_bytes() == before


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"test": {"safety": 5}}'])
def test_a_state_that_cannot_be_read_lets_no_new_risk_in_and_every_exit_out(
    judge: Judge, folder: Path, rubbish: bytes
) -> None:
    (folder / SAFETY_FILE).write_bytes(rubbish)
    assert judge(OPEN).codes == {"safety_state"}
    assert judge(CLOSE_PUT).code == 0


# --- the order


@pytest.mark.parametrize("name", [IBKR.number, str(IBKR), "•••4567", "***4567", "4567", "...4567", "IBKR •4567"])
def test_an_account_is_meant_by_its_number_or_any_mask_that_fits_one(judge: Judge, name: str) -> None:
    order = {**json.loads(CLOSE_PUT), "account": name}
    assert judge(json.dumps(order)).code == 0


def test_a_mask_that_fits_two_accounts_needs_the_full_number(judge: Judge, broker: Broker) -> None:
    twin = AccountId("tastytrade", "5XX84567")
    owner = HEALTHY.accounts[TASTY]
    accounts = {IBKR: HEALTHY.accounts[IBKR], twin: replace(owner, id=twin)}
    broker.world = replace(HEALTHY, accounts=accounts, positions=_of(IBKR))
    with pytest.raises(OrderError, match="fits more than one"):
        judge(json.dumps({**json.loads(CLOSE_PUT), "account": "4567"}))
    assert judge(CLOSE_PUT).code == 0
    assert judge(json.dumps({**json.loads(CLOSE_PUT), "account": str(IBKR)})).code == 0


def _of(owner: AccountId) -> dict[str, Position]:
    return {name: one for name, one in HEALTHY.positions.items() if one.account == owner}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "limit_price is missing"),
        (json.dumps({**json.loads(CLOSE_PUT), "account": "9999"}), "no such account; known are IBKR •••4567"),
        (json.dumps({**json.loads(CLOSE_PUT), "legs": []}), "1 to 4 legs"),
        (json.dumps({**json.loads(CLOSE_PUT), "limit_price": "10"}), "limit_price is missing or no number"),
        (CLOSE_PUT.replace("10.0", "NaN"), "limit_price is missing or no number"),
        (CLOSE_PUT.replace("10.0", "1e999"), "limit_price is missing or no number"),
        (json.dumps({**json.loads(CLOSE_PUT), "token": "x"}), "no such key"),
    ],
)
def test_what_is_no_order_is_an_error_in_words_and_the_source_is_closed(
    judge: Judge, broker: Broker, order: str, words: str
) -> None:
    with pytest.raises(OrderError) as error:
        judge(order)
    assert words in str(error.value)
    assert not any(number in str(error.value) for number in NUMBERS)
    assert broker.closed == 1


# --- the file


def test_an_order_is_read_from_a_file_or_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "order.json").write_text(CLOSE_PUT, encoding="utf-8")
    assert read_text(tmp_path / "order.json") == CLOSE_PUT
    monkeypatch.setattr("sys.stdin", io.StringIO(OPEN))
    assert read_text(Path("-")) == OPEN


def test_a_file_that_cannot_be_read_is_named_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.json").mkdir()
    for name, why in (("none.json", "FileNotFound"), ("bytes.json", "UnicodeDecode"), ("folder.json", "IsADirectory")):
        with pytest.raises(OrderError, match=rf"^{name} cannot be read \({why}Error\)\.$"):
            read_text(tmp_path / name)
