"""Accounts, positions, balances and margin as they are now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.brokers.tasty_book import Book, Row
from tests.brokers.tasty_lists import listed
from tests.brokers.tasty_wire import Answer, Refused, Request, data

if TYPE_CHECKING:
    from tests.brokers.tasty import Tasty

BALANCES = (
    "cash-balance", "long-equity-value", "short-equity-value", "long-derivative-value", "short-derivative-value",
    "long-futures-value", "short-futures-value", "long-futures-derivative-value", "short-futures-derivative-value",
    "long-margineable-value", "short-margineable-value", "margin-equity", "equity-buying-power",
    "derivative-buying-power", "day-trading-buying-power", "futures-margin-requirement", "available-trading-funds",
    "maintenance-requirement", "maintenance-call-value", "reg-t-call-value", "day-trading-call-value",
    "day-equity-call-value", "net-liquidating-value", "cash-available-to-withdraw", "day-trade-excess",
    "pending-cash", "long-cryptocurrency-value", "short-cryptocurrency-value", "cryptocurrency-margin-requirement",
    "unsettled-cryptocurrency-fiat-amount", "closed-loop-available-balance", "equity-offering-margin-requirement",
    "long-bond-value", "bond-margin-requirement", "used-derivative-buying-power", "reg-t-margin-requirement",
    "futures-overnight-margin-requirement", "futures-intraday-margin-requirement", "maintenance-excess",
    "pending-margin-interest", "effective-cryptocurrency-buying-power",
)  # fmt: skip
"""every money field of a balance; those the book leaves out are 0.0"""


def owner(tasty: Tasty, number: str) -> Row:
    """The account of that number; 404 when there is none."""
    if number not in tasty.book.accounts:
        raise Refused(404, "record_not_found", f"Couldn't find account {number}")
    return tasty.book.accounts[number]


def everyone(tasty: Tasty, request: Request) -> Answer:
    """Every account, closed ones too."""
    rows = [{"account": _account(tasty.book, number), "authority-level": "owner"} for number in tasty.book.accounts]
    return listed(tasty, request, "accounts", rows)


def one(tasty: Tasty, request: Request, number: str) -> Answer:
    """One account."""
    owner(tasty, number)
    return data(_account(tasty.book, number), context=request.path)


def _account(book: Book, number: str) -> Row:
    return {
        "account-number": number, "external-id": f"A{number}", "opened-at": "2021-03-01T15:00:00.000+00:00",
        "nickname": "Individual", "account-type-name": "Individual", "day-trader-status": False, "is-closed": False,
        "is-firm-error": False, "is-firm-proprietary": False, "is-futures-approved": True, "is-test-drive": False,
        "margin-or-cash": "Margin", "is-foreign": False, "funding-date": "2021-03-02",
        "investment-objective": "SPECULATION", "suitable-options-level": "No Restrictions",
        "created-at": "2021-03-01T15:00:00.000+00:00", **book.accounts[number].get("info", {}),
    }  # fmt: skip


def positions(tasty: Tasty, request: Request, number: str) -> Answer:
    """The positions, filtered as asked, with marks when asked for them."""
    owner(tasty, number)
    marks = request.one("include-marks").lower() == "true"
    rows = [position(tasty, number, symbol, marks=marks) for symbol in tasty.book.positions[number]]
    wanted = {"instrument-type": request.many("instrument-type"), "symbol": request.many("symbol"),
              "underlying-symbol": request.many("underlying-symbol")}  # fmt: skip
    rows = [row for row in rows if all(not told or row[key] in told for key, told in wanted.items())]
    if request.one("include-closed-positions").lower() == "false":
        rows = [row for row in rows if row["quantity-direction"] != "Zero"]
    paged = tasty.hit("paged")
    faulty = any(name in tasty.faults.active for name in ("pages_short", "duplicate_page"))
    return listed(tasty, request, "positions", rows, int(paged.get("per_page", 2)) if paged else 2 if faulty else 0)


def position(tasty: Tasty, number: str, symbol: str, *, marks: bool) -> Row:
    """One position: quantity unsigned, `mark` the whole position, numbers as text."""
    book = tasty.book
    held, told = book.positions[number][symbol], book.instruments[symbol]
    quantity, factor = float(held["quantity"]), float(told.get("multiplier", 1))
    close = book.market.get(symbol, {}).get("close", 0.0)
    gain, gained = float(held.get("realized-day-gain", 0.0)), held.get("realized-day-gain-date", "+0d")
    row: Row = {
        "account-number": number,
        "symbol": symbol,
        "instrument-type": told["instrument-type"],
        "underlying-symbol": told.get("underlying-symbol", symbol),
        "quantity": f"{abs(quantity):g}",
        "quantity-direction": "Long" if quantity > 0 else "Short" if quantity < 0 else "Zero",
        "close-price": f"{close:g}",
        "average-open-price": f"{held['average-open-price']:g}",
        "average-yearly-market-close-price": f"{held['average-open-price']:g}",
        "average-daily-market-close-price": f"{held.get('average-daily-market-close-price', close):g}",
        "multiplier": f"{factor:g}",
        "cost-effect": "Credit" if quantity > 0 else "Debit" if quantity < 0 else "None",
        "is-suppressed": False,
        "is-frozen": False,
        "restricted-quantity": "0.0",
        "realized-day-gain": f"{abs(gain):.2f}",
        "realized-day-gain-effect": "Credit" if gain > 0 else "Debit" if gain < 0 else "None",
        "realized-day-gain-date": book.at(gained),
        "realized-today": f"{abs(gain):.2f}",
        "realized-today-effect": "Credit" if gain > 0 else "Debit" if gain < 0 else "None",
        "realized-today-date": book.at(gained),
        "created-at": stamp(tasty.clock()),
        "updated-at": stamp(tasty.clock()),
        **held.get("fields", {}),
    }
    if "expires" in told:
        row["expires-at"] = stamp(told["expires"])
    price = book.price(symbol)
    if marks and price is not None:
        row |= {"mark": f"{abs(quantity) * factor * price:.2f}", "mark-price": f"{price:g}"}
    return row


def balances(tasty: Tasty, request: Request, number: str, currency: str = "USD") -> Answer:
    """The balance in one currency; 404 for one that is not held."""
    if currency != owner(tasty, number).get("currency", "USD"):
        raise Refused(404, "record_not_found", f"Couldn't find a balance in {currency}")
    return data(balance(tasty, number), context=request.path)


def balance(tasty: Tasty, number: str) -> Row:
    """The balance as it is now; what the book does not say is 0.0."""
    told = {"account-number": number, "currency": "USD", **dict.fromkeys(BALANCES, "0.0")}
    return {
        **told, "pending-cash-effect": "None", "unsettled-cryptocurrency-fiat-effect": "None",
        "snapshot-date": tasty.book.today, "updated-at": stamp(tasty.clock()),
        **tasty.book.accounts[number]["balance"],
    }  # fmt: skip


def margin(tasty: Tasty, request: Request, number: str) -> Answer:
    """The margin report: sizes beside their effect, a requirement being a debit."""
    account, now = owner(tasty, number), balance(tasty, number)
    told = {
        "account-number": number, "description": "Total", "margin-calculation-type": "Reg T",
        "option-level": "No Restrictions", "last-state-timestamp": int(tasty.clock().timestamp() * 1000),
        **_debit("margin-requirement", now["maintenance-requirement"]),
        **_debit("maintenance-requirement", now["maintenance-requirement"]),
        **_debit("initial-requirement", now["maintenance-requirement"]),
        **_debit("reg-t-margin-requirement", now["reg-t-margin-requirement"]),
        **_credit("margin-equity", now["margin-equity"]),
        **_credit("option-buying-power", now["derivative-buying-power"]),
        **_credit("reg-t-option-buying-power", now["derivative-buying-power"]),
        **_credit("maintenance-excess", now["maintenance-excess"]),
        "groups": [_group(code, dollars) for code, dollars in account.get("margin_groups", {}).items()] + [{}],
    }  # fmt: skip
    return data(told, context=request.path)


def _group(code: str, dollars: str) -> Row:
    return {
        "description": code, "code": code, "underlying-symbol": code, "underlying-type": "Equity",
        "margin-calculation-type": "Reg T",
        **_debit("margin-requirement", dollars), **_debit("maintenance-requirement", dollars),
        **_debit("initial-requirement", dollars), **_debit("buying-power", dollars), "groups": [],
    }  # fmt: skip


def _debit(key: str, size: str) -> Row:
    return {key: size, f"{key}-effect": "Debit" if float(size) else "None"}


def _credit(key: str, size: str) -> Row:
    return {key: size.lstrip("-"), f"{key}-effect": "Debit" if float(size) < 0 else "Credit"}


def trading_status(tasty: Tasty, request: Request, number: str) -> Answer:
    """What the account may do."""
    owner(tasty, number)
    return data(status(tasty, number), context=request.path)


def status(tasty: Tasty, number: str) -> Row:
    """The trading status as it is now."""
    flags = (
        "is-aggregated-at-clearing", "is-closed", "is-closing-only", "is-cryptocurrency-closing-only", "is-frozen",
        "is-full-equity-margin-required", "is-futures-closing-only", "is-in-day-trade-equity-maintenance-call",
        "is-in-margin-call", "is-pattern-day-trader", "is-risk-reducing-only",
        "is-small-notional-futures-intra-day-enabled", "is-roll-the-day-forward-enabled",
        "are-far-otm-net-options-restricted", "is-equity-offering-enabled", "is-equity-offering-closing-only",
        "is-portfolio-margin-enabled", "has-intraday-equities-margin",
    )  # fmt: skip
    return {
        "account-number": number, "equities-margin-calculation-type": "Reg T", "fee-schedule-name": "default",
        "futures-margin-rate-multiplier": "1.0", "small-notional-futures-margin-rate-multiplier": "1.0", "id": 1,
        "options-level": "No Restrictions", "short-calls-enabled": True, "day-trade-count": 0,
        "is-cryptocurrency-enabled": True, "is-futures-enabled": True, "is-futures-intra-day-enabled": True,
        **dict.fromkeys(flags, False), "updated-at": stamp(tasty.clock()),
        **tasty.book.accounts[number].get("status", {}),
    }  # fmt: skip


def stamp(moment: datetime) -> str:
    """A time as the API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
