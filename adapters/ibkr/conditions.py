"""What the connection to TWS or Gateway can be in: a stable short name, the words for it, what a person should do.

IBKR tells little: a used client id, a wrong port and a disabled socket all end in a closed or silent connection. What
was seen on the way (the error codes, how far the handshake came) decides the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time

from adapters.condition import Condition
from guardrails.calendar import NEW_YORK
from guardrails.values import SourceState

CLIENT_ID_IN_USE = 326
LINK_LOST, DATA_LOST, LINK_BACK, PORT_CHANGED, SERVER_BROKEN = 1100, 1101, 1102, 1300, 2110
FARM_BROKEN = frozenset({2103, 2157})
"""market data and contract farms; 2105 is the historical one, without which nothing live is missing"""
FARM_OK = frozenset({2104, 2107, 2108, 2119, 2158})
NO_QUOTES = frozenset({200, 321, 354, 10089, 10090, 10091, 10168, 10186, 10197})
"""answers to a subscription after which its quotes, or a part of them, will not come"""
TRY_DELAYED = frozenset({354, 10089, 10168})
"""no live permission: delayed quotes may be had"""
COMPETING_SESSION, NO_LINE_LEFT, TOO_FAST, DATA_BROKEN = 10197, 101, 100, 10182

_RESET = (time(23, 40), time(0, 50))
"""New York: IBKR resets its servers about 23:45 to 00:45 every night"""
_SOCKET = (
    "under API, Settings (TWS: Global Configuration; Gateway: Configure, Settings) "
    "enable socket clients and trust 127.0.0.1"
)


CONNECTING = Condition("connecting", SourceState.CONNECTING, "Connecting to TWS or IB Gateway.")
CONNECTED = Condition("connected", SourceState.LIVE, "Connected.")
MARKET_CLOSED = Condition("market_closed", SourceState.CLOSED, "Connected; the market is closed and quotes rest.")
NOT_ANSWERING = Condition(
    "not_answering", SourceState.STALE, "The socket is open but TWS or Gateway does not answer.",
    "Look at TWS or Gateway: it may hang or show a dialog. The app connects anew by itself.",
)  # fmt: skip
DROPPED = Condition(
    "dropped", SourceState.DOWN, "The connection was closed.", "Nothing: the app connects anew by itself."
)
EMPTY_DOUBTED = Condition(
    "empty_positions_doubted", SourceState.STALE,
    "IBKR listed no positions of an account whose own figures do not say that it holds nothing.",
    "Compare with the portfolio in TWS; the list is asked for again until both agree.",
)  # fmt: skip
EMPTY_AT_START = replace(EMPTY_DOUBTED, state=SourceState.CONNECTING)
POSITIONS_SILENT = Condition(
    "positions_unanswered", SourceState.STALE, "IBKR does not answer the request for positions.",
    "Restart TWS or Gateway if this lasts for more than a minute.",
)  # fmt: skip
QUOTES_SILENT = Condition(
    "quotes_silent", SourceState.STALE, "No quote has come although the market is open.",
    "Look in TWS whether its own quotes move; if they do, restart the API connection.",
)  # fmt: skip
FARM_DOWN = Condition(
    "farm_broken", SourceState.STALE, "TWS has lost a data farm of IBKR's, so quotes stand still.",
    "Nothing: TWS restores it by itself; in TWS press Ctrl-Alt-F to force it.",
)  # fmt: skip
RESYNCHRONISING = Condition("resynchronising", SourceState.STALE, "The link is back; positions are read again.")


def link_lost(now: datetime) -> Condition:
    """TWS is there, IBKR behind it is not."""
    if in_nightly_reset(now):
        return Condition(
            "nightly_reset", SourceState.STALE,
            "IBKR resets its servers every night between 23:45 and 00:45 New York; this is normal.",
            "Nothing: it comes back by itself.",
        )  # fmt: skip
    return Condition(
        "link_lost", SourceState.STALE, "TWS or Gateway has lost its own link to IBKR; everything it shows is old.",
        "Check the internet connection; TWS reconnects by itself.",
    )  # fmt: skip


def in_nightly_reset(now: datetime) -> bool:
    """Whether IBKR may be resetting its servers."""
    local = now.astimezone(NEW_YORK).time()
    return local >= _RESET[0] or local <= _RESET[1]


def unknown_account(wanted: str, offered: Sequence[str]) -> Condition:
    """IBKR_ACCOUNT names an account this login does not have; both are masked."""
    shown = ", ".join(f"•••{number[-4:]}" for number in offered) or "none"
    return Condition(
        "account_unknown", SourceState.DOWN,
        f"IBKR_ACCOUNT names •••{wanted[-4:]}, but this login offers {shown}.",
        "Correct IBKR_ACCOUNT, or leave it out to read every account of the login.",
    )  # fmt: skip


def accounts_gone(gone: Sequence[str]) -> Condition:
    """Accounts that were read before are no longer among those of the login: what they hold cannot be seen."""
    shown = ", ".join(f"•••{number[-4:]}" for number in gone)
    return Condition(
        "account_gone", SourceState.DOWN, f"This login no longer offers {shown}, which it did before.",
        "Log in to TWS with the user that has all accounts; if one was closed for good, start this app anew.",
    )  # fmt: skip


def refused(host: str, port: int, now: datetime) -> Condition:
    """Nothing listens on the port."""
    restart = " It may be in its daily restart." if in_nightly_reset(now) else ""
    return Condition(
        "refused", SourceState.DOWN, f"Nothing listens on {host}:{port}.{restart}",
        "Start TWS or IB Gateway and log in; IBKR_PORT is 7496 for TWS (paper 7497), 4001 for Gateway (paper 4002). "
        f"If it runs, {_SOCKET}.",
    )  # fmt: skip


def unreachable(host: str, port: int, reason: str) -> Condition:
    """The host cannot be reached at all."""
    return Condition(
        "unreachable", SourceState.DOWN, f"{host}:{port} cannot be reached ({reason}).",
        "Correct IBKR_HOST and IBKR_PORT; TWS should run on this machine.",
    )  # fmt: skip


def of_handshake(codes: Mapping[int, str], *, closed: bool, host: str, port: int, client_id: int) -> Condition:
    """Why the handshake failed: `codes` are the errors heard on the way, `closed` whether the other side hung up."""
    if CLIENT_ID_IN_USE in codes:
        return Condition(
            "client_id_in_use", SourceState.DOWN, f"Client id {client_id} is used by another connection to TWS.",
            "Close the other program, or set IBKR_CLIENT_ID to another number if it is to stay. TWS may keep that "
            "of a program that died for minutes; it is tried every few seconds. Until then close positions in TWS.",
        )  # fmt: skip
    if closed:
        return Condition(
            "api_not_enabled", SourceState.DOWN, f"{host}:{port} accepts the connection and closes it.",
            f"The API is not enabled or this machine is not trusted: {_SOCKET}.",
        )  # fmt: skip
    return Condition(
        "no_handshake", SourceState.DOWN, f"{host}:{port} accepts the connection but does not speak the TWS protocol.",
        f"Check that IBKR_PORT is the port of TWS or Gateway and that it is fully logged in; {_SOCKET}.",
    )  # fmt: skip


def unsynchronised(missing: Sequence[str]) -> Condition:
    """Connected, but one of the first requests was not answered."""
    if any(name.startswith("positions") for name in missing):
        return Condition(
            "positions_unanswered", SourceState.DOWN, "Connected, but IBKR does not answer the request for positions.",
            "Wait a minute; if it lasts restart TWS or Gateway.",
        )  # fmt: skip
    return Condition(
        "account_unanswered", SourceState.DOWN, "Connected, but IBKR does not answer the request for account figures.",
        "Wait a minute (an option expiring tonight can block it until midnight); if it lasts restart TWS or Gateway.",
    )  # fmt: skip
