"""The account streamer: connect, heartbeats, acknowledgements, and notices that carry whole objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty
    from tests.brokers.tasty_line import Line

PARTIAL = ("account-number", "cash-balance", "net-liquidating-value")


class Notices:
    """One client of the account streamer."""

    kind = "account"

    def __init__(self, tasty: Tasty, line: Line) -> None:
        self.tasty = tasty
        self.line = line
        self.accounts: list[str] = []

    def opened(self) -> None:
        """The client speaks first."""
        self.tasty.listeners.append(self)

    def closed(self) -> None:
        """Forget the client."""
        self.tasty.listeners.remove(self)

    def hear(self, message: dict[str, Any]) -> None:
        """Acknowledge an action, or say why not."""
        action = str(message.get("action"))
        self.tasty.asked[f"notices {action}"] += 1
        told = {"action": action, "request-id": message.get("request-id"), "web-socket-session-id": "stand-in"}
        wrong = self._wrong(action, message)
        if wrong:
            self.line.send({"status": "error", "message": wrong, **told})
            return
        if action == "connect":
            value = message.get("value") or []
            self.accounts = [value] if isinstance(value, str) else list(value)
            told["value"] = self.accounts
        self.line.send({"status": "ok", **told})

    def _wrong(self, action: str, message: dict[str, Any]) -> str:
        """Why an action is refused; empty when it is not."""
        if how := self.tasty.hit("notices_refuse"):
            return str(how.get("message", "failed"))
        if not self.tasty.knows(str(message.get("auth-token", "")).removeprefix("Bearer ")):
            return "unauthorized"
        if action not in ("connect", "heartbeat", "public-watchlists-subscribe", "quote-alerts-subscribe"):
            return f"unknown action {action}"
        if action != "connect" and not self.accounts:
            return "connect-not-completed"
        unknown = [name for name in message.get("value") or [] if name not in self.tasty.book.accounts]
        return f"unknown accounts {unknown}" if action == "connect" and unknown else ""

    def notify(self, kind: str, account: str, told: dict[str, Any]) -> None:
        """Push one object, if its account is subscribed."""
        if account not in self.accounts or self.tasty.hit("notices_mute"):
            return
        if kind == "AccountBalance" and self.tasty.hit("notices_partial"):
            told = {key: told[key] for key in PARTIAL}
        now = int(self.tasty.clock().timestamp() * 1000)
        self.line.send({"type": kind, "data": told, "timestamp": now})
