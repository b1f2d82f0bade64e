"""Orders over HTTP: who is let in, what is answered, and that a lost answer is never a second order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from guardrails import order_http
from guardrails.errors import OrderError
from guardrails.gate.values import (
    Approval,
    Impact,
    MarginChange,
    Measures,
    OrderKind,
    Reason,
    StressChange,
    Verdict,
)
from guardrails.order_http import A_MINUTE, MOST_BYTES, WRONG_A_MINUTE, Call, Doorkeeper
from guardrails.order_json import impact_json, parse_order, read_order
from guardrails.requests import Answer, Kind, Said
from guardrails.values import AccountId

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TOKEN = "-".join(("a", "long", "word", "of", "the", "trader"))
ACCOUNT = AccountId("IBKR", "DU1234567")
ORDER: dict[str, Any] = {
    "account": "IBKR •••4567",
    "order_type": "LIMIT",
    "limit_price": 99.5,
    "tif": "DAY",
    "legs": [{"symbol": "SPY", "side": "BUY", "quantity": 3}],
    "rationale": "why not",
}


class Steady:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def call(body: object = ORDER, **headers: str) -> Call:
    told = {"host": "127.0.0.1:8501", "content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call({**told, **{name.replace("_", "-"): value for name, value in headers.items()}}, content)


def status(reply: order_http.Reply | None) -> int:
    return 200 if reply is None else reply[0]


def doorkeeper(steady: Steady | None = None) -> Doorkeeper:
    return Doorkeeper(SecretStr(TOKEN), steady or Steady())


def test_without_a_token_in_the_settings_nobody_comes_in() -> None:
    for token in (None, SecretStr(""), SecretStr("  ")):
        assert status(Doorkeeper(token, Steady()).refusal(call(authorization="Bearer "))) == 403


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("", 401),
        ("Bearer \udcff", 401),
    ],
)
def test_only_the_token_comes_in(header: str, expected: int) -> None:
    assert status(doorkeeper().refusal(call(authorization=header))) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8501", 200),
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8501", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://127.0.0.1:8501.evil.example", 403),
    ],
)
def test_another_page_is_turned_away_before_its_token_is_looked_at(origin: str, expected: int) -> None:
    assert status(doorkeeper().refusal(call(origin=origin))) == expected


def test_storms_are_turned_away_and_a_storm_of_wrong_tokens_keeps_nobody_out_who_has_the_right_one() -> None:
    steady = Steady()
    door = doorkeeper(steady)
    assert [status(door.refusal(call(authorization="Bearer x"))) for _ in range(WRONG_A_MINUTE + 1)] == (
        [401] * WRONG_A_MINUTE + [429]
    )
    assert status(door.refusal(call())) == 200, "who guesses must not stop who closes a position"
    assert status(door.refusal(call(authorization="Bearer x"))) == 429
    steady.now += 60.0
    assert status(door.refusal(call(authorization="Bearer x"))) == 401
    assert [status(door.refusal(call())) for _ in range(A_MINUTE + 1)] == [200] * A_MINUTE + [429]
    refused = door.refusal(call())
    assert refused is not None
    assert refused[3] == {"retry-after": "60"}


def test_only_json_of_a_sane_size() -> None:
    assert status(doorkeeper().refusal(call(content_type="text/plain"))) == 415
    assert status(doorkeeper().refusal(call(content_type="application/json; charset=utf-8"))) == 200
    assert status(doorkeeper().refusal(call(b"x" * MOST_BYTES))) == 200
    assert status(doorkeeper().refusal(call(b"x" * (MOST_BYTES + 1)))) == 413


class Watch:
    """Answers requests as the program that watches would, and writes down what it was asked."""

    def __init__(self, *answers: Answer | None) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str], str]] = []

    def ask(self, kind: str, body: Mapping[str, str], author: str) -> str:
        self.asked.append((kind, body, author))
        return str(len(self.asked) - 1)

    def answer(self, key: str) -> Answer | None:
        return self._answers[int(key)]


def impact(verdict: Verdict = Verdict.ALLOW, *reasons: Reason) -> Impact:
    order, _ = read_order(ORDER, [ACCOUNT], NOW.date())
    approval = None if verdict is Verdict.BLOCK else Approval("once", NOW + timedelta(seconds=30))
    return Impact(
        NOW, order, "BUY 3 × SPY", verdict, OrderKind.NEW_RISK, reasons, (), (), Measures(), Measures(),
        MarginChange("ibkr"), StressChange(), None, approval=approval,
    )  # fmt: skip


def said(told: Impact | None, said: Said = Said.DONE, words: str = "") -> Answer:
    return Answer("k", NOW, said, words, "" if told is None else impact_json(told))


def sent(told: Impact | None, outcome: Said = Said.DONE, words: str = "") -> Answer:
    content = {"key": "g-1", "state": "SENT", "impact": None if told is None else json.loads(impact_json(told))}
    return Answer("k", NOW, outcome, words, json.dumps(content))


def posted(watch: Watch, body: object = ORDER) -> tuple[int, dict[str, Any]]:
    reply = asyncio.run(order_http.submit(watch, call(body)))
    return reply[0], json.loads(reply[2])


BLOCKED = Reason("limit_newly_breached", Verdict.BLOCK, "Short vega −5,020 past −3,500.", "short_vega", "portfolio")


def test_a_simulation_answers_the_whole_impact_whatever_the_verdict() -> None:
    watch = Watch(said(impact(Verdict.BLOCK, BLOCKED)))
    code, media_type, body, _ = asyncio.run(order_http.simulate(watch, call()))
    told = json.loads(body)
    assert (code, media_type, told["verdict"], told["approval"]) == (200, "application/json", "BLOCK", None)
    assert told["reasons"] == [
        {"code": "limit_newly_breached", "check": "short_vega", "subject": "portfolio", "message": BLOCKED.message}
    ]
    assert watch.asked[0][0] == Kind.SIMULATE
    assert json.loads(watch.asked[0][1]["order"]) == ORDER


def test_an_order_without_an_approval_is_simulated_first_and_sent_with_the_one_it_gets() -> None:
    watch = Watch(said(impact()), sent(impact()))
    code, told = posted(watch)
    assert (code, told["order"]) == (201, {"key": "g-1", "state": "SENT"})
    assert [kind for kind, _, _ in watch.asked] == [Kind.SIMULATE, Kind.SUBMIT]
    assert (watch.asked[1][1]["token"], watch.asked[1][1]["origin"]) == ("once", "api")


def test_a_blocked_order_is_422_with_the_reasons_and_nothing_is_asked_to_be_sent() -> None:
    watch = Watch(said(impact(Verdict.BLOCK, BLOCKED)))
    code, told = posted(watch)
    assert (code, told["verdict"], told["reasons"][0]["code"]) == (422, "BLOCK", "limit_newly_breached")
    assert [kind for kind, _, _ in watch.asked] == [Kind.SIMULATE]


def test_what_is_blocked_only_at_submit_is_422_too() -> None:
    watch = Watch(sent(impact(Verdict.BLOCK, BLOCKED), Said.REFUSED, "It is blocked."))
    code, told = posted(watch, {**ORDER, "token": "once"})
    assert (code, told["reasons"][0]["code"]) == (422, "limit_newly_breached")


def test_a_warning_without_a_reason_and_a_token_used_twice_are_422_in_words() -> None:
    warned = replace(impact(Verdict.WARN), reasons=(Reason("expiry", Verdict.WARN, "It expires tomorrow."),))
    code, told = posted(Watch(sent(warned, Said.REFUSED, "A reason is needed.")), {**ORDER, "token": "once"})
    assert (code, [one["message"] for one in told["reasons"]]) == (422, ["A reason is needed.", "It expires tomorrow."])
    used = Answer("k", NOW, Said.REFUSED, "This approval was used; simulate again.")
    code, told = posted(Watch(used), {**ORDER, "token": "once"})
    assert (code, told["verdict"], told["reasons"][0]["message"]) == (
        422,
        "BLOCK",
        "This approval was used; simulate again.",
    )


def test_what_cannot_be_read_is_400_and_account_numbers_are_not_repeated() -> None:
    for body in (b"", b"[]", b"null", b"{", b"\xff\xfe", {**ORDER, "token": 5}):
        assert posted(Watch(), body)[0] == 400
    words = f"no such account {ACCOUNT.number}"
    code, told = posted(Watch(Answer("k", NOW, Said.REFUSED, words)))
    assert code == 400
    assert ACCOUNT.number not in told["error"]


def test_an_answer_that_never_comes_is_not_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_http, "ANSWER_SECONDS", 0.05)
    assert posted(Watch(None))[0] == 503, "nothing was sent yet"
    code, told = posted(Watch(said(impact()), None))
    assert code == 504
    assert "do not send it again" in told["error"]
    assert posted(Watch(said(impact()), Answer("k", NOW, Said.UNKNOWN, "")))[0] == 504


@pytest.mark.parametrize("body", [
    b'{"account": "IBKR", "account": "tastytrade"}', b'{"rationale": "\\ud800"}', b'{"reason": "\\u0000"}',
])  # fmt: skip
def test_what_is_named_twice_or_cannot_be_kept_is_no_order(body: bytes) -> None:
    watch = Watch({})
    for answer in (order_http.simulate, order_http.submit):
        assert asyncio.run(answer(watch, call(body)))[0] == 400


@pytest.mark.parametrize(("part", "words"), [
    ({"legs": [{"symbol": "SPY", "side": ["BUY"], "quantity": 1}]}, "write BUY or SELL"),
    ({"limit_price": 1e200}, "at most 10,000,000"),
    ({"limit_price": -10_000_001}, "at most 10,000,000"),
])  # fmt: skip
def test_parts_of_another_shape_are_named(part: dict[str, Any], words: str) -> None:
    with pytest.raises(OrderError, match=words):
        read_order({**ORDER, **part}, [ACCOUNT], NOW.date())


def test_a_leg_that_names_a_side_twice_is_not_read() -> None:
    text = json.dumps(ORDER).replace('"side": "BUY"', '"side": "SELL", "side": "BUY"')
    with pytest.raises(OrderError, match="not JSON"):
        parse_order(text, [ACCOUNT], NOW.date())
