"""The log as a channel: it needs no network, so it always works."""

from __future__ import annotations

import logging

from guardrails.alerts.plain import brief, since
from guardrails.alerts.values import Line, Message, Outcome, Receipt, Severity, State

_log = logging.getLogger("guardrails.alerts")
_LOUD = (Severity.CRITICAL, Severity.BREACH)


class LogChannel:
    """Writes one record for each alert, with its figures as extras for a structured log."""

    name = "log"
    kind = "log"
    problem = ""

    def send(self, message: Message) -> Receipt:
        """SENT; a handler that fails is the log's own trouble."""
        lead = message.title.partition(":")[0] if message.title.startswith("DEMO:") else ""
        for line in message.lines:
            self._write(line, message, f"{lead}: " if lead else "")
        if message.more or not message.lines:
            extra = {"severity": message.severity.value, "message_key": message.key}
            more = f" (and {message.more} alerts that are not listed)" if message.more else ""
            _log.warning("%s%s", message.title, more, extra=extra)
        return Receipt(Outcome.SENT, "written to the log")

    def _write(self, line: Line, message: Message, lead: str) -> None:
        loud = line.severity in _LOUD and line.state is not State.RESOLVED
        extra = {
            "alert": line.title,
            "severity": line.severity.value,
            "state": line.state.value,
            "figures": line.figures,
            "since": line.since.isoformat(),
            "reason": line.reason,
            "message_key": message.key,
        }
        _log.log(
            logging.CRITICAL if loud else logging.WARNING,
            "%s%s, %s, %s",
            lead, brief(line), since(line, message.time), line.reason,
            extra=extra,
        )  # fmt: skip
