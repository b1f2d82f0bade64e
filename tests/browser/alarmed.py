"""The program on the demo with alerts of the test's choice, `python -m tests.browser.alarmed`.

What is open stands in the file ALERTS_FILE as JSON: a list of {check, subject, severity, message, ...}. What a person
does on the page is done to it, as the part of the program that makes alerts would do it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from guardrails.alerts.values import (
    AlertRow,
    AlertsNow,
    ChannelRow,
    Problem,
    Reason,
    Severity,
    Silence,
    State,
    WatchRow,
)
from guardrails.requests import Answer, Kind, Request, Said

FILE = "ALERTS_FILE"
CUSHION = "margin_cushion account:IBKR •••4567"
EXPIRY = "short_option_expiry position:IBKR •••4567 option:SPY   261118P00600000"
LOG = ChannelRow("log", "log", works=True, sent=12)
"""what nobody reads unless he looks"""


@dataclass(slots=True)
class Scripted:
    """Alerts as the file says they are; it does what is asked at once."""

    path: Path
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    done: dict[str, Any] = field(default_factory=dict)
    """by identity: what a person did"""
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def now(self) -> AlertsNow:
        """As it stands."""
        told = json.loads(self.path.read_text())
        now = datetime.now(UTC)
        rows = [self._row(one, now) for one in told["alerts"]]
        rows.sort(key=lambda row: -row.severity.rank)
        return AlertsNow(
            now,
            tuple(rows),
            tuple(ChannelRow(**one) for one in told.get("channels", [])) or (LOG,),
            told_today=3,
            budget=20,
            digest=2,
            digest_due=now + timedelta(minutes=55),
            watch=WatchRow(
                self.began, now, told.get("heartbeat", False), now - timedelta(seconds=19), now + timedelta(seconds=41)
            ),
        )

    def _row(self, one: dict[str, Any], now: datetime) -> AlertRow:
        severity, identity = Severity(one["severity"]), f"{one['check']} {one['subject']}"
        problem = Problem(one["check"], one["subject"], severity, one["message"], next_action=one.get("action", ""))
        since = now - timedelta(minutes=one.get("minutes", 19))
        row = AlertRow(
            identity, one["check"], one["subject"], "margin", severity, State.FIRED, problem, since, since,
            since if one.get("told", 2) else None, one.get("told", 2), flaps=one.get("flaps", 0),
            held=Reason(one["held"]) if "held" in one else None, held_by=one.get("held_by", ""),
            escalates=now + timedelta(minutes=4) if severity is Severity.CRITICAL else None,
        )  # fmt: skip
        return replace(row, **self.done.get(identity, {}))

    def do(self, request: Request) -> None:
        """What the page asked, at once."""
        body, kind = request.body, Kind(request.kind)
        alert = self.done.setdefault(body.get("alert", ""), {})
        if kind is Kind.ACKNOWLEDGE:
            alert |= {"state": State.ACKNOWLEDGED, "owner": request.author, "note": body["note"], "escalates": None}
        elif kind is Kind.SILENCE:
            silence = Silence(request.author, request.time, datetime.fromisoformat(body["until"]), body["reason"])
            alert |= {"state": State.SILENCED, "silence": silence, "escalates": None}
        elif kind is Kind.UNSILENCE:
            alert |= {"state": State.FIRED, "silence": None}
        elif kind is Kind.ACTED:
            alert["acted"] = True
        words = f"{body['channel']} took it in 0.4 s" if kind is Kind.TEST_CHANNEL else "Done"
        self.answers[request.key] = Answer(request.key, request.time, Said.DONE, words)

    def answer(self, key: str) -> Answer | None:
        """What came of it."""
        return self.answers.get(key)

    def start(self) -> None:
        """Nothing runs."""

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        """The file says it all."""

    def see(self, snapshot: object, rules: object) -> None:
        """The file says it all."""

    def idle(self) -> None:
        """The file says it all."""

    def stop(self, seconds: float) -> None:
        """Nothing runs."""


def main() -> None:
    """Run the program as `streamlit run app.py` does, with these alerts."""
    from streamlit.web import cli  # noqa: PLC0415  # only the program needs it

    from pages import _engine  # noqa: PLC0415  # as above

    desk, wired = Scripted(Path(os.environ[FILE])), _engine.wiring

    def wiring() -> _engine.Wiring:
        found = wired()
        partners = replace(found.engine._partners, desk=desk)
        for part in (found.engine, found.engine._sharing, found.engine._cycle):
            part._partners = partners
        return found

    _engine.wiring = wiring  # type: ignore[assignment]  # alerts of the test's own
    sys.argv = ["streamlit", "run", "app.py"]
    cli.main()


if __name__ == "__main__":
    main()
