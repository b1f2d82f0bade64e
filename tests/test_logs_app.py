"""The app with a planted secret in every setting that can hold one, everything at DEBUG, and other sides that repeat
what they were sent: no byte of what it writes or answers holds one.
"""

from __future__ import annotations

import base64
import json
import secrets
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from guardrails.settings import Settings
from tests.browser.conftest import Server, free_port, serving
from tests.healthy import edited_text
from tests.stored import eventually

ROUTES = ("/healthz", "/readyz", "/metrics", "/api/snapshot")
PROGRAM = ("tests.loud", "run", "app.py")
PROMPT = edited_text({"alerts.settle_seconds.unknown": 0.0})
"""so that what does not answer is told at once"""
SENT = ("tt_secret", "tt_refresh", "slack_webhook_url", "alert_urls", "heartbeat_url")
SECRETS = sorted(name for name, info in Settings.model_fields.items() if "Secret" in str(info.annotation))


class Echo(BaseHTTPRequestHandler):
    """Refuses everything, and says back what it was sent."""

    heard: list[str] = []  # noqa: RUF012  # of the class, because a handler lives for one request

    def _refuse(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode(errors="replace")
        self.heard.append(f"{self.path} {body}")
        said = f"refused: {self.path} with {dict(self.headers)} and {body}"
        answer = json.dumps({"error": {"code": "invalid_grant", "message": said}, "error_description": said}).encode()
        self.send_response(401, said.replace("\r", " ").replace("\n", " ")[:500])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_HEAD = do_PUT = _refuse  # noqa: N815  # names of http.server

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def echoing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def planted() -> dict[str, str]:
    """A token by setting; every one is random letters and digits, so that nothing else looks like it."""
    return {name: f"pl4nt{secrets.token_hex(10)}" for name in SECRETS if name != "ibkr_account"} | {
        "ibkr_account": f"U{secrets.randbelow(10**7):07d}"
    }


def written(tokens: Mapping[str, str], url: str) -> dict[str, str]:
    """The settings that hold the tokens, each in the shape the setting wants."""
    shapes = {
        "database_url": f"postgresql+psycopg://me:{tokens['database_url']}%2F@127.0.0.1:{free_port()}/book",
        "alert_urls": f"desk={url.replace('http', 'json')}/hook/{tokens.get('alert_urls')}",
    }
    values = {
        name: shapes.get(name, f"{url}/services/T0123/{token}" if name.endswith("_url") else token)
        for name, token in tokens.items()
    }
    dead = {"IBKR_PORT": str(free_port()), "TASTYTRADE_BASE_URL": url, "GUARDRAILS_SOURCES": "ibkr,tastytrade"}
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(free_port()), "SMTP_USER": "desk@example.com",
            "ALERT_EMAIL_FROM": "desk@example.com", "ALERT_EMAIL_TO": "me@example.com"}  # fmt: skip
    known = {name.upper() for name in Settings.model_fields}
    return {name.upper(): value for name, value in values.items()} | {
        name: value for name, value in (dead | mail).items() if name in known
    }


def needles(token: str) -> set[bytes]:
    """How a token may be written: as it is, or somewhere in base64 (the ends of which depend on what is beside it)."""
    text = token.encode()
    inner = {base64.b64encode(b"?" * before + text)[4:-4] for before in range(3)}
    return {text, quote(token).encode(), *inner}


@pytest.mark.parametrize("database", ["file", "server"])
def test_no_planted_secret_is_in_anything_the_app_writes_or_answers(tmp_path: Path, database: str) -> None:
    with echoing() as url:
        tokens = planted()
        environment = written(tokens, url)
        if database == "file":
            environment.pop("DATABASE_URL")
        (tmp_path / "prompt.yaml").write_text(PROMPT, encoding="utf-8")
        environment["GUARDRAILS_MATRIX"] = str(tmp_path / "prompt.yaml")
        with serving(tmp_path, PROGRAM, **environment, STREAMLIT_LOGGER_LEVEL="debug") as server:
            answers = seen_until_all_were_tried(server, tokens)
            assert server.stop(signal.SIGTERM)[0] == 0
    texts = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    texts |= answers
    log = texts["data/logs/guardrails-app.jsonl"]
    assert b'"level": "DEBUG"' in log
    assert b'"logger": "uvicorn' in log
    assert len(log.splitlines()) == sum(isinstance(json.loads(line), dict) for line in log.splitlines())
    found = [
        f"{name} in {where}"
        for where, text in texts.items()
        for name, token in tokens.items()
        if any(needle in text for needle in needles(token))
    ]
    assert found == []


def seen_until_all_were_tried(server: Server, tokens: Mapping[str, str]) -> dict[str, bytes]:
    """What the routes answer once everything that is sent over HTTP was sent, and came back."""
    sent = [tokens[name] for name in SENT]

    def tried() -> bool:
        return all(any(token in body for body in list(Echo.heard)) for token in sent)

    assert eventually(tried, 60.0), [
        name for name in SENT if not any(tokens[name] in body for body in list(Echo.heard))
    ]
    return {route: server.get(route)[1].encode() for route in ROUTES}
