"""The dead-man's switch: a monitor outside this machine that is pinged, and calls people when the pings stay away.

In the manner of healthchecks.io: the address for a success, `/start` and `/fail` behind it for the others.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request

from pydantic import SecretStr

from adapters.channels.web import SECONDS, ask, host_of, problem_of, receipt_of, receipt_of_error
from guardrails.alerts.values import Outcome, Receipt
from guardrails.redaction import redact

Kind = Literal["start", "success", "fail"]
SETTING = "HEARTBEAT_URL"
_MOST = 10_000
"""bytes of a body that healthchecks.io keeps in full on every plan"""


def ping(url: SecretStr, kind: Kind, body: str = "", seconds: float = SECONDS) -> Receipt:
    """Tell the monitor; at most ten seconds, never raises, and the receipt names only the host."""
    address = url.get_secret_value().strip()
    if problem := problem_of(address, SETTING):
        return Receipt(Outcome.REFUSED, problem)
    parts = urlsplit(address)
    path = parts.path.rstrip("/") + ("" if kind == "success" else f"/{kind}") or "/"
    data = redact(body).encode("utf-8", "replace")[:_MOST] if body else None
    target = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    host = host_of(address)
    try:
        request = Request(target, data=data, method="POST" if data else "GET")  # noqa: S310  # problem_of allows http(s) only
        request.add_header("User-Agent", "portfolio-guardrails")
        if data:
            request.add_header("Content-Type", "text/plain; charset=utf-8")
        return receipt_of(ask(request, follow=True, seconds=seconds), host)
    except Exception as error:  # whatever it is, the watch goes on
        return receipt_of_error(error, host)
