"""A monitor on loopback that takes pings as healthchecks.io does, and answers as the test says."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from tests.channels import Reply, Web

PATH = "/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
"""of the check; whoever knows it can ping, so it is a secret"""


class Monitor(Web):
    """Answers `status`, and while `hanging` is set nothing at all."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.hanging = threading.Event()

    @property
    def address(self) -> str:
        """What HEARTBEAT_URL is set to."""
        return self.url(PATH)

    @property
    def pings(self) -> list[tuple[str, str]]:
        """(`start`, `success` or `fail`, body) of what came, in order."""
        said = list(self.requests)
        return [(one.path.removeprefix(PATH).removeprefix("/") or "success", one.body.decode()) for one in said]

    @property
    def kinds(self) -> list[str]:
        """The first half of each."""
        return [kind for kind, _ in self.pings]

    def answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """As `status` says, when nothing holds it back."""
        while self.hanging.is_set() and not self.closing.wait(0.02):
            pass
        super().answer(handler, replace(reply, status=self.status))

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.hanging.clear()
        super().__exit__(*error)
