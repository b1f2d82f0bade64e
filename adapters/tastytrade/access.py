"""The settings of the connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

PRODUCTION, SANDBOX = "https://api.tastyworks.com", "https://api.cert.tastyworks.com"
_NOTICES = {PRODUCTION: "wss://streamer.tastyworks.com", SANDBOX: "wss://streamer.cert.tastyworks.com"}


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is, and the OAuth grant it is entered with."""

    secret: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    base_url: str = PRODUCTION
    practice: bool = False
    """whether a server on this machine counts as paper trading; only whoever runs it there can know"""

    @property
    def sandbox(self) -> bool:
        """Whether this is the sandbox, which refuses the version header of production."""
        return (urlsplit(self.base_url).hostname or "").startswith("api.cert.")

    @property
    def loopback(self) -> bool:
        """Whether the API runs on this machine; then no proxy is asked."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def paper(self) -> bool:
        """Whether no order sent there can cost money: the sandbox, or a server on this machine said to be for it."""
        return self.sandbox or (self.practice and self.loopback)

    @property
    def notices_url(self) -> str:
        """Websocket on which changes of accounts are announced; of any other server it is the API's own host."""
        known = _NOTICES.get(self.base_url.rstrip("/"))
        return known or "ws" + self.base_url.rstrip("/").removeprefix("http")
