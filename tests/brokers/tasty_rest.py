"""Which request gets which answer, and every fault a request can meet on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.brokers import tasty_accounts as accounts
from tests.brokers import tasty_chains as chains
from tests.brokers import tasty_history as history
from tests.brokers import tasty_instruments as instruments
from tests.brokers import tasty_login as login
from tests.brokers import tasty_market as market
from tests.brokers import tasty_orders as orders
from tests.brokers.tasty_wire import Answer, Refused, Request, data, error, page

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

Handler = Callable[..., Answer]
OWNED = ("accounts", "*")
ROUTES: tuple[tuple[str, tuple[str, ...], str, Handler], ...] = (
    ("POST", ("oauth", "token"), "token", login.token),
    ("GET", ("api-quote-tokens",), "quote_token", login.quote_token),
    ("GET", ("margin-requirements-public-configuration",), "risk_free_rate", market.risk_free_rate),
    ("GET", ("customers", "me", "accounts"), "accounts", accounts.everyone),
    ("GET", ("customers", "me", "accounts", "*"), "account", accounts.one),
    ("GET", (*OWNED, "positions"), "positions", accounts.positions),
    ("GET", (*OWNED, "balances"), "balances", accounts.balances),
    ("GET", (*OWNED, "balances", "*"), "balances", accounts.balances),
    ("GET", (*OWNED, "balance-snapshots"), "snapshots", history.snapshots),
    ("GET", ("margin", "accounts", "*", "requirements"), "margin", accounts.margin),
    ("GET", (*OWNED, "trading-status"), "trading_status", accounts.trading_status),
    ("GET", (*OWNED, "transactions"), "transactions", history.transactions),
    ("GET", (*OWNED, "net-liq", "history"), "net_liq", history.net_liq),
    ("GET", (*OWNED, "orders", "live"), "orders_live", orders.live),
    ("POST", (*OWNED, "orders", "dry-run"), "dry_run", orders.dry_run),
    ("GET", (*OWNED, "orders", "*"), "order", orders.one),
    ("POST", (*OWNED, "orders"), "place", orders.place),
    ("POST", (*OWNED, "complex-orders"), "place_complex", orders.refuse),
    ("PUT", (*OWNED, "orders", "*"), "replace", orders.replace),
    ("DELETE", (*OWNED, "orders", "*"), "cancel", orders.cancel),
    ("GET", ("option-chains", "*", "nested"), "option_chains", chains.nested),
    ("GET", ("futures-option-chains", "*", "nested"), "option_chains", chains.nested_futures),
    ("GET", ("market-metrics",), "metrics", market.metrics),
    ("GET", ("market-data", "by-type"), "market_data", market.by_type),
    ("GET", ("market-data", "*", "*"), "market_data", market.one),
    ("GET", ("instruments", "*"), "instruments", instruments.several),
    ("GET", ("instruments", "*", "*"), "instruments", instruments.one),
)
"""method, path, the short name it is counted under, and what answers; `*` is handed to it"""
WRITES = ("place", "replace", "cancel")
OPEN = ("token", "risk_free_rate")
"""what needs no bearer"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way; None is never sent."""

    answer: Answer | None = None
    delay: float = 0.0
    """seconds"""
    cut: bool = False


def answer(tasty: Tasty, request: Request) -> Reply:
    """What a request is answered, and when."""
    name, handler, parts = _route(request)
    tasty.asked[name] += 1
    slow = tasty.hit("slow", paths=name)
    delay = float(slow.get("seconds", 0.5)) if slow else 0.0
    if tasty.hit("mute_rest", paths=name):
        return Reply()
    if tasty.hit("cut_rest", paths=name):
        return Reply(cut=True)
    told = _failed(tasty, name) or _worked(tasty, request, name, handler, parts)
    if name in WRITES and told.status < 300 and (lost := tasty.hit("reply_lost", paths=name)):
        kind = lost.get("kind", "cut")
        return Reply(error(int(kind), "gateway", "Bad gateway")) if kind.isdigit() else Reply(cut=kind == "cut")
    return Reply(told, delay)


def _route(request: Request) -> tuple[str, Handler, list[str]]:
    for method, pattern, name, handler in ROUTES:
        if method != request.method or len(pattern) != len(request.segments):
            continue
        pairs = list(zip(pattern, request.segments, strict=True))
        if all(want in ("*", told) for want, told in pairs):
            return name, handler, [part for want, part in pairs if want == "*"]
    return f"unknown {request.method} {request.path}", _nowhere, []


def _nowhere(tasty: Tasty, request: Request) -> Answer:
    raise Refused(404, "not_found", f"No route for {request.method} {request.path}")


def _failed(tasty: Tasty, name: str) -> Answer | None:
    """The failure the server is told to have, else None."""
    if how := tasty.hit("html", paths=name):
        return page(how.get("status", 502))
    if how := tasty.hit("server_error", paths=name):
        return error(how.get("status", 500), "internal_server_error", "An internal server error occurred")
    if how := tasty.hit("rate_limited", paths=name):
        told = {"Retry-After": str(how["retry_after"])} if "retry_after" in how else {}
        return error(429, "too_many_requests", "Too many requests", **told)
    return None


def _worked(tasty: Tasty, request: Request, name: str, handler: Handler, parts: list[str]) -> Answer:
    if not request.headers.get("user-agent"):
        return page(401)
    if name not in OPEN and not tasty.knows(request.bearer):
        return error(401, "token_invalid", "This token is invalid or has expired")
    try:
        told = handler(tasty, request, *parts)
    except Refused as refused:
        return refused.answer
    if tasty.hit("bad_json", paths=name):
        return replace(told, body=told.body[: len(told.body) // 2])
    return data({}) if tasty.hit("no_data", paths=name) else told
