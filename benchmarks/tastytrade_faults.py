"""What may go wrong in the soak at tastytrade, and what makes it felt."""

from __future__ import annotations

from benchmarks.tastytrade_book import StandIn
from tests.brokers.tasty_faults import FAULTS

LOST = ("connections reset", "port closed", "silent")
"""what is no entry of the table"""
WITH_LOGIN = ("token_flaky", "grant_dead")
"""felt only when a login is due, so the bearer is killed too"""
WITH_SOCKET = ("auth_hang", "channel_hang", "quote_token_dead", "own_order", "big_frames", "candle_tail", "ws_refuse")
"""felt only by a new socket, so the open one is reset too"""
SETTINGS: dict[str, list[dict[str, object]]] = {
    "one_bad_row": [{"kind": kind, "field": "quantity"} for kind in ("unknown_type", "missing", "text", "null")],
    "pages_short": [{"kind": "empty"}, {"kind": "500"}],
    "poisoned_metrics": [{"kind": kind} for kind in ("no_market_cap", "wrong_types", "batch")],
    "garbage": [{"kind": "not_json"}, {"kind": "unknown_type"}, {"kind": "field_count", "type": "Greeks"}],
    "rate_limited": [{"retry_after": 1}, {}],
    "clock": [{"seconds": 90}, {"seconds": -90}],
    "ws_drop": [{"times": 2}, {"times": 2, "code": 1001}],
    "grant_dead": [{"code": "invalid_request"}],  # invalid_grant is believed for half an hour, as it should be
    "error_frame": [{}, {"type": "Greeks"}],
    "channel_closed": [{"times": 1}, {"type": "Greeks", "times": 1}],
}
NAMES = sorted((*FAULTS, *LOST))


def have(stand: StandIn, name: str, how: dict[str, object]) -> None:
    """Begin a fault, with whatever makes it felt."""
    if name == "port closed":
        stand.tell("refuse")
    if name in ("connections reset", "port closed"):
        stand.tell("drop")
    elif name == "silent":
        stand.tell("silence", True)  # noqa: FBT003  # the stand-in's own way to say it
    else:
        stand.tell("fault", name, **how)
    if name in WITH_LOGIN:
        stand.tell("fault", "token_killed")
    if name in WITH_SOCKET:
        stand.tell("drop", "dxlink")


def mend(stand: StandIn) -> None:
    """Have no fault any more."""
    stand.tell("silence", False)  # noqa: FBT003  # as in `have`
    stand.tell("mend")
    stand.tell("listen")
