"""Every fault the stand-in can be told to have, by name: the one list that code, command line and README share."""

from __future__ import annotations

from typing import Any

How = dict[str, Any]

FAULTS = {
    "never_handshake": "accepts the connection and never answers",
    "close_at_handshake": "closes on the first byte, as when the API is not enabled",
    "client_id_in_use": "error 326, then closes",
    "slow": "every answer comes `seconds` (0.5) late",
    "skew": "its clock is `seconds` ahead (negative: behind)",
    "mute_positions": "never answers reqPositions",
    "mute_account_updates": "never answers reqAccountUpdates or reqAccountUpdatesMulti",
    "mute_account_summary": "never answers reqAccountSummary",
    "mute_executions": "never answers reqExecutions",
    "mute_open_orders": "never answers reqOpenOrders or reqAllOpenOrders",
    "mute_completed": "never answers reqCompletedOrders",
    "mute_pnl": "never answers reqPnL or reqPnLSingle, and stops those that run",
    "mute_details": "never answers reqContractDetails",
    "mute_history": "never answers reqHistoricalData",
    "mute_market_data": "never answers reqMktData",
    "mute_time": "never answers reqCurrentTime",
    "mute_whatif": "never answers a what-if",
    "empty_positions": "says that there are no positions",
    "contract_unknown": "error 200 for `conIds` in details, market data and what-ifs",
    "read_only_api": "error 321 for what-ifs, open orders and completed orders",
    "whatif_answer": "`kind`: rejected (201), warning_first (unset, then the answer), sentinel, null",
    "lose_order": "the link is reset when an order comes, which is not taken",
    "lose_reply": "an order is taken and the link reset before anything is said of it",
    "mute_order": "nothing is said of orders that are taken or changed",
    "hold_order": "an order is PreSubmitted",
    "reject_order": "error `code` (201) with `words`, unless `quiet`, then Inactive unless `status` is false",
    "duplicate_id": "error 103 for a new order, which is not taken",
    "tif_preset": "error 10349 before the first word about an order, which lives",
    "tif_preset_only": "with tif_preset: nothing is said after it",
    "tif_preset_after": "error 10349 after the first status of an order, which lives",
    "order_warning": "error `code` (399) with `words` after the first status of an order, which lives",
    "fill_orders": "a new order is filled at once at its limit, `quantity` of it (all)",
    "reject_change": "error `code` (110) for a change; the order rests as it was",
    "fill_on_cancel": "a cancellation comes too late: filled, then 10148",
    "slow_cancel": "a cancellation is PendingCancel until `on_desk('cancel', ref)`",
    "mute_cancel": "nothing is said about a cancellation, which is not done",
    "status_before_executions": "the status Filled comes before the executions",
    "no_fill_status": "executions come without a status",
    "no_bag_execution": "a combination's own execution is left out",
    "late_commission": "commissions come with `on_desk('report_commissions')`",
    "late_positions": "positions do not follow executions",
    "mute_chains": "never answers reqSecDefOptParams",
    "mute_rules": "never answers reqMarketRule",
    "nan_greeks": "every greek of `conIds` is NaN",
    "unset_greeks": "every greek of `conIds` is -1 or -2",
    "sentinel_greeks": "every greek of `conIds` is 1.7976931348623157e308",
    "no_greeks": "no option computations for `conIds`",
    "no_permission": "error `code` (354, 10089 or 10168) for `conIds`; asking for delayed data helps with the last two",
    "competing_session": "error 10197 for every market data line",
    "delayed": "delayed data (type 3, or 4 when asked) for `conIds`, whatever type was asked, after notice 10167",
    "market_closed": "type 2 when frozen data is asked for; live lines lose bid and ask (-1, size 0)",
}
"""name -> what it does; each takes `times=N` (ends after N hits), those about contracts `conIds=[...]` (all)"""

MARKET_FAULTS = frozenset({
    "nan_greeks", "unset_greeks", "sentinel_greeks", "no_greeks",
    "no_permission", "competing_session", "delayed", "market_closed",
})  # fmt: skip
"""faults that change at once what an open market data line says"""

NOTICES = {
    1100: "Connectivity between IBKR and Trader Workstation has been lost.",
    1101: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
    1300: "TWS socket port has been reset and this connection is being dropped.",
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usfarm",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
    2157: "Sec-def data farm connection is broken:secdefnj",
    2158: "Sec-def data farm connection is OK:secdefnj",
    10197: "No market data during competing live session",
}
"""usual words of the notices that `Tws.say` sends"""


class Faults:
    """The faults active now, each with how it was described."""

    def __init__(self) -> None:
        self.active: dict[str, How] = {}

    def set(self, name: str, how: How) -> None:
        """Activate a fault. ValueError for a name that is not in FAULTS."""
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}: choose one of {', '.join(FAULTS)}")
        self.active[name] = {"name": name, **how}

    def hit(self, name: str, con_id: int | None = None) -> How | None:
        """How an active fault was described when it concerns this contract, else None; counts down its `times`."""
        how = self.active.get(name)
        if how is None or (con_id is not None and con_id not in how.get("conIds", [con_id])):
            return None
        if "times" in how:
            how["times"] -= 1
            if how["times"] <= 0:
                del self.active[name]
        return how
