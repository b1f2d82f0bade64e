"""Every fault the tastytrade stand-in can be told to have, by name: for code, command line and README."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

How = dict[str, Any]

FAULTS = {
    # REST; all take `paths=[...]`, the short names counted in `asked` (default: every request but the login)
    "server_error": "`status` (500) with a JSON error",
    "rate_limited": "429; `retry_after` (none) becomes the header",
    "html": "502 with the page of nginx",
    "bad_json": "200 with half a document",
    "no_data": "200 with `data: {}`",
    "slow": "every answer comes `seconds` (0.5) late",
    "mute_rest": "takes the request, never answers",
    "cut_rest": "resets the connection instead of answering",
    "clock": "the Date header is `seconds` ahead (negative: behind)",
    # login
    "token_killed": "bearers given so far are refused from now on; with `always=True` every later one too",
    "token_flaky": "the login fails as the sandbox does: invalid_request, not a customer; `times` (1)",
    "grant_dead": "the login is refused for good with `code` (invalid_grant)",
    "quote_token_dead": "DXLink knows none of the tokens it gave out",
    # rows
    "one_bad_row": "`row` (0) has `kind`: unknown_type; missing, text, null in `field`; `paths` (positions)",
    "paged": "positions come in pages of `per_page` (2)",
    "duplicate_page": "the second page is the first again",
    "pages_short": "total-pages says 3, the third is `kind`: empty or 500, and its rows are lost",
    "poisoned_metrics": "`kind`: no_market_cap, wrong_types in `symbol` (first), or batch: 500 when it is asked for",
    # orders, where the stand-in trades; taken, unless it says otherwise
    "reply_lost": "what an order asks is done, its reply is not sent: `kind` cut, mute, or a status",
    "preflight": "a new order is refused (422) with `code` (margin_check_failed), `message`",
    "orders_rejected": "a new order is taken and then rejected with `reason`",
    "orders_unlisted": "the list of orders leaves out those that were placed here",
    "fill_on_cancel": "an order that is to be cancelled is filled instead",
    "cancel_slow": "a cancellation is confirmed after `seconds`, or never",
    "replace_aborted": "the original fills while it is replaced, and the new order is rejected",
    "ledger_late": "positions and balances follow a fill after `seconds` (0.5)",
    "dry_run_odd": "fields of the buying power effect are those of `effect`",
    "notices_repeat": "every notice of an order comes twice",
    "notices_one_leg": "notices of an order carry the fills of its first leg only",
    # websockets; `kind=dxlink` or `account` (both)
    "ws_drop": "cut without a close frame, or with close `code`, `seconds` (0) after opening; those open at once",
    "ws_refuse": "the upgrade is answered `status` (502)",
    "ws_mute": "open, but nothing at all is said, no pong either",
    # DXLink
    "ws_quiet": "KEEPALIVE goes on, data does not",
    "auth_hang": "never AUTHORIZED",
    "channel_hang": "never CHANNEL_OPENED",
    "error_frame": "ERROR frame on channel 0, or on that of `type`; `error` (BAD_ACTION), `message`",
    "channel_closed": "CHANNEL_CLOSED that nobody asked for, of `type` (every open channel)",
    "garbage": "one message of `kind`: not_json, unknown_type or field_count (in a channel of `type`)",
    "nan_greeks": "every Greek of `symbols` (all) is NaN",
    "silent_symbols": "nothing about `symbols` (all)",
    "full_format": "FEED_DATA as objects with names",
    "own_order": "FEED_CONFIG announces an order of fields that was not asked for, and keeps to it",
    "many_blocks": "one block of a compact message for each event",
    "big_frames": "a snapshot comes in one frame, whatever its size",
    "candle_tail": "the snapshot of candles ends with a removed one without figures, as dxFeed may",
    # account streamer
    "notices_refuse": "answers every action with an error; `message` (failed)",
    "notices_partial": "AccountBalance carries account-number, cash-balance and net-liquidating-value only",
    "notices_mute": "no notices, acknowledgements go on",
}  # fmt: skip
"""name -> what it does; each takes `times=N` and ends after N hits"""


class Faults:
    """The faults active now, each with how it was described."""

    def __init__(self) -> None:
        self.active: dict[str, How] = {}

    def set(self, name: str, how: How) -> None:
        """Activate a fault. ValueError for a name that is not in FAULTS."""
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}: choose one of {', '.join(FAULTS)}")
        self.active[name] = {"name": name, **({"times": 1} if name == "token_flaky" else {}), **how}

    def hit(self, name: str, **about: str) -> How | None:
        """How a fault was described when it concerns what this is `about`, else None; counts its `times` down."""
        how = self.active.get(name)
        if how is None or not all(_meant(how.get(key), value) for key, value in about.items()):
            return None
        if about.get("paths") == "token" and "paths" not in how:  # a login fails only when it is meant
            return None
        if "times" in how:
            how["times"] -= 1
            if how["times"] <= 0:
                del self.active[name]
        return how


def _meant(told: str | Collection[str] | None, value: str) -> bool:
    """Whether a setting (one, several or none at all) includes `value`."""
    return told is None or (value == told if isinstance(told, str) else value in told)
