"""`POST /api/simulate` and `POST /api/orders` as the server answers them: who is let in, and to which program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import app
from guardrails.engine import Engine
from guardrails.settings import Settings
from tests.stored import MATRIX_TEXT, eventually
from tests.wired import NUMBERS, is_ready

TOKEN = "-".join(("a", "word", "of", "ours"))
"""put together here, so that it looks like no secret"""
ROUTES = ("/api/simulate", "/api/orders")
UNCOVER = {"account": "0001", "order_type": "MARKET", "legs": [{"symbol": "AAPL", "side": "SELL", "quantity": 1}]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from pages._engine import wiring  # noqa: PLC0415  # pulls in Streamlit's cache, as in the app

    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "risk_matrix.yaml").write_text(MATRIX_TEXT, encoding="utf-8")
    monkeypatch.setenv("GUARDRAILS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GUARDRAILS_REFRESH_SECONDS", "0.5")
    monkeypatch.setattr(app, "doorkeepers", [])
    wiring.clear()  # type: ignore[attr-defined]  # Streamlit's cache
    yield tmp_path
    wired = wiring()
    wired.stop()
    if wired.database is not None:
        wired.database.close()
    wiring.clear()  # type: ignore[attr-defined]  # as above


@pytest.fixture
def client(home: Path) -> TestClient:
    """Asks the app, whose lifespan the test stands in for."""
    return TestClient(app.app, base_url="http://127.0.0.1:8501")


@pytest.fixture
def engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine that the app would have started, at work, with trading on paper and a token."""
    from pages._engine import wiring  # noqa: PLC0415  # as above

    for name, value in {"GUARDRAILS_API_TOKEN": TOKEN, "IBKR_TRADING": "paper", "TT_TRADING": "paper"}.items():
        monkeypatch.setenv(name, value)
    wired = wiring()
    wired.start()
    assert eventually(lambda: is_ready(wired.engine))
    return wired.engine


def headers(token: str = TOKEN, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "content-type": "application/json", **more}


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_comes_in_while_no_token_is_set(client: TestClient, route: str) -> None:
    for token in ("", "None", TOKEN):
        reply = client.post(route, json=UNCOVER, headers=headers(token))
        assert (reply.status_code, "GUARDRAILS_API_TOKEN is not set" in reply.json()["error"]) == (403, True)


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_host_origin_token_method_or_body_is_turned_away(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    monkeypatch.setenv("GUARDRAILS_API_TOKEN", TOKEN)

    def status(body: bytes = b"{}", **told: str) -> int:
        return client.post(route, content=body, headers=headers(**told)).status_code

    assert client.post(route, content=b"{}", headers={**headers(), "host": "evil.example"}).status_code == 400
    assert client.post(route, content=b"{}", headers={**headers(), "host": "evil.example:8501"}).status_code == 400
    assert status(origin="https://evil.example") == 403
    assert status(origin="http://127.0.0.1:9999") == 403
    assert status(token="another") == 401
    reply = client.post(route, content=b"{}", headers={"content-type": "application/json"})
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        reply = client.request(method, route, headers=headers())
        assert (reply.status_code, reply.headers.get("allow")) == (405, "POST")
    assert status(**{"content-type": "text/plain"}) == 415
    assert status(b"x" * 200_000) == 413
    assert status(b"[]") == 400
    assert status(b"\xff\xfe") == 400


def test_a_simulation_is_answered_in_full_and_an_order_is_handed_on_once(client: TestClient, engine: Engine) -> None:
    def post(route: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        reply = client.post(route, json=body, headers=headers(origin="http://127.0.0.1:8501"))
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        assert not any(number in reply.text for number in NUMBERS)
        return reply.status_code, reply.json()

    code, told = post("/api/simulate", UNCOVER)
    assert (code, told["kind"]) == (200, "NEW_RISK"), "it would uncover the call that was sold"
    exit_ = {**UNCOVER, "legs": [{"symbol": "MSFT", "side": "SELL", "quantity": 1}]}
    code, told = post("/api/simulate", exit_)
    assert (code, told["verdict"], told["kind"]) == (200, "ALLOW", "EXIT")
    assert {"token", "expires_at"} == told["approval"].keys()
    code, sent = post("/api/orders", {**exit_, "token": told["approval"]["token"]})
    assert code == 201, sent
    assert engine.orders is not None
    assert [one.key for one in engine.orders.records] == [sent["order"]["key"]]
    code, again = post("/api/orders", {**exit_, "token": told["approval"]["token"]})
    assert (code, again["verdict"]) == (422, "BLOCK")
    code, refused = post("/api/orders", {**UNCOVER, "account": "9999"})
    assert (code, "no such account" in refused["error"].lower()) == (400, True)
    assert len(engine.orders.records) == 1
    assert json.loads(client.get("/api/snapshot").text)["safety_state"] == "NORMAL"
