"""What the connection to tastytrade can be in: a stable short name, the words for it, what a person should do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.condition import Condition
from guardrails.values import SourceState

CONNECTING = Condition("connecting", SourceState.CONNECTING, "Connecting to tastytrade.")
CONNECTED = Condition("connected", SourceState.LIVE, "Connected.")
MARKET_CLOSED = Condition("market_closed", SourceState.CLOSED, "Connected; the market is closed and quotes rest.")
NOT_CONFIGURED = Condition(
    "not_configured", SourceState.DOWN, "TT_SECRET or TT_REFRESH is not set.",
    "At my.tastytrade.com under Manage, My Profile, API, OAuth Applications create a grant; set both values.",
)  # fmt: skip
GRANT_REFUSED = Condition(
    "grant_refused", SourceState.DOWN, "tastytrade refuses the grant: TT_SECRET or TT_REFRESH is wrong or was revoked.",
    "Create a new grant (Manage, My Profile, API, OAuth Applications), set both values, start the app anew. "
    "It does not try again by itself for half an hour: too many failed logins block this address for hours.",
)  # fmt: skip
NOT_AUTHORISED = Condition(
    "not_authorised", SourceState.DOWN, "tastytrade refuses the access token, also a fresh one.",
    "Look whether the grant has the scope `read`; the app tries again every minute.",
)  # fmt: skip
RATE_LIMITED = Condition(
    "rate_limited", SourceState.STALE, "tastytrade says that it is asked too often.",
    "Nothing: the app waits. If it lasts, end other programs that use the same login.",
)  # fmt: skip
POSITIONS_SILENT = Condition(
    "positions_unanswered", SourceState.STALE, "Positions or balances have not been read whole for too long.",
    "Nothing: the app keeps asking. If it lasts, look at status.tastytrade.com.",
)  # fmt: skip
EMPTY_DOUBTED = Condition(
    "empty_positions_doubted", SourceState.STALE,
    "tastytrade lists fewer positions than the account's own balance speaks for.",
    "Compare with the positions at tastytrade; the list is asked for again until both agree.",
)  # fmt: skip
QUOTES_CONNECTING = Condition("quotes_connecting", SourceState.CONNECTING, "Connecting to the quote stream.")
QUOTES_LOST = Condition(
    "quotes_lost", SourceState.STALE, "The quote stream was closed; positions are still read.",
    "Nothing: the app connects anew by itself.",
)  # fmt: skip
QUOTES_SILENT = Condition(
    "quotes_silent", SourceState.STALE, "The quote stream is open but says nothing.",
    "Nothing: the app tears it down and connects anew by itself.",
)  # fmt: skip
QUOTES_REFUSED = Condition(
    "quotes_refused", SourceState.STALE, "tastytrade does not let this login into its quote stream.",
    "Look at tastytrade whether market data agreements are signed; the app keeps trying.",
)  # fmt: skip


def channel_refused(kind: str) -> Condition:
    """The quote stream closes one of its channels each time it is opened."""
    return Condition(
        "quotes_channel_closed", SourceState.STALE, f"The quote stream closes its channel of {kind} again and again.",
        "Nothing: the app connects anew by itself. If it lasts, look at status.tastytrade.com.",
    )  # fmt: skip


def no_quote_token(what: str) -> Condition:
    """The answer that should say where the quote stream is does not."""
    return Condition(
        "quotes_refused", SourceState.STALE, f"tastytrade does not say how to reach its quote stream ({what}).",
        "Look at tastytrade whether market data agreements are signed; the app keeps trying.",
    )  # fmt: skip


def quotes_unreachable(reason: str) -> Condition:
    """Nothing answers where the quote stream should be."""
    return Condition(
        "quotes_unreachable", SourceState.STALE, f"The quote stream cannot be reached ({reason}).",
        "Check the internet connection; a firewall may block websockets. The app keeps trying.",
    )  # fmt: skip


def unreachable(reason: str) -> Condition:
    """Nothing answers at the address."""
    return Condition(
        "unreachable", SourceState.DOWN, f"tastytrade cannot be reached ({reason}).",
        "Check the internet connection and TASTYTRADE_BASE_URL; the app keeps trying.",
    )  # fmt: skip


def failing(said: str) -> Condition:
    """It answers, but not what was asked."""
    return Condition(
        "failing", SourceState.DOWN, f"tastytrade does not answer as it should: {said}.",
        "Nothing: the app keeps asking. If it lasts, look at status.tastytrade.com.",
    )  # fmt: skip


def login_failing(said: str) -> Condition:
    """The login fails, but not because the grant is wrong."""
    return Condition(
        "login_failing", SourceState.DOWN, f"The login at tastytrade fails: {said}.",
        "Nothing: the app tries again, more and more slowly.",
    )  # fmt: skip


def no_account() -> Condition:
    """The login has no open account."""
    return Condition(
        "no_account", SourceState.DOWN, "This login has no open account.", "Use a grant of the user that owns it."
    )


def accounts_unread(why: Mapping[str, str]) -> Condition:
    """Accounts of the login that could never be read; `why` by number."""
    shown = "; ".join(f"•••{number[-4:]}: {reason}" for number, reason in why.items())
    return Condition(
        "account_unread", SourceState.STALE, f"An account could not be read yet ({shown}).",
        "Look at tastytrade whether the grant covers it; the others are shown, but nothing is cleared without it.",
    )  # fmt: skip


def accounts_gone(gone: Sequence[str]) -> Condition:
    """Accounts that were read before are no longer among those of the login: what they hold cannot be seen."""
    shown = ", ".join(f"•••{number[-4:]}" for number in gone)
    return Condition(
        "account_gone", SourceState.STALE, f"This login no longer offers {shown}, which it did before.",
        "Use a grant that has all accounts; if one was closed for good, start this app anew.",
    )  # fmt: skip
