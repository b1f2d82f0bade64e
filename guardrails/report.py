"""The Snapshot on a terminal: worst first, in the words of the pages."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrails import wording
from guardrails.calendar import NEW_YORK
from guardrails.findings import Finding, Level
from guardrails.snapshot import Snapshot

MARKS = {
    Level.BREACH: ("✖", "bold red"),
    Level.UNKNOWN: ("?", "bold"),
    Level.WATCH: ("◐", "yellow"),
    Level.OK: ("●", "green"),
    Level.NOT_APPLICABLE: ("–", "dim"),
}

_UNDER = "\n" + " " * 13
"""further lines stand under the first, right of its mark"""


def print_snapshot(snapshot: Snapshot, console: Console) -> None:
    """Level, findings, totals, accounts and sources."""
    moment = snapshot.as_of.astimezone(NEW_YORK)
    console.print(Text.assemble(_mark(snapshot.level), f"  as of {moment:%a %d %b %Y %H:%M:%S} New York"))
    console.print(f"Regime {snapshot.regime.name}: {snapshot.regime.reason}\n", markup=False)
    console.print(_findings(snapshot.findings))
    console.print(_totals(snapshot))
    for account in snapshot.accounts:
        console.print(
            f"{account.broker} {account.account}: net liquidation {wording.money(account.net_liquidation)}, "
            f"excess {wording.money(account.excess_liquidity)}, cushion {wording.percent(account.cushion)}, "
            f"today {wording.money(account.day_pnl)}",
            markup=False,
        )
    for source in snapshot.sources:
        condition = f" ({wording.plain(source.condition)})" if source.condition else ""
        console.print(f"{source.name}: {source.state}{condition}, {source.detail}", markup=False)
        for exclusion in source.exclusions:
            console.print(f"  note: {exclusion}", markup=False)


def print_doctor(found: Sequence[tuple[str, bool, str]], console: Console) -> int:
    """Print what `found` says; 3 when something does not work, else 0."""
    for name, works, told in found:
        mark = Text("● works  ", "green") if works else Text("✖ missing", "bold red")
        console.print(Text.assemble(mark, f"  {name}: {told}".replace("\n", _UNDER)))
    return 0 if all(works for _, works, _ in found) else 3


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        text = Text(finding.message)
        if finding.next_action and finding.level.rank >= Level.WATCH.rank:
            text.append(f"\nNext: {finding.next_action}", "italic")
        table.add_row(_mark(finding.level), finding.check, text)
    return table


def _totals(snapshot: Snapshot) -> Table:
    totals = snapshot.totals
    table = Table(box=None, pad_edge=False)
    columns = {
        "Net liquidation": wording.money(totals.net_liquidation),
        "Delta": wording.money(totals.delta_dollars),
        "Beta delta": wording.money(totals.beta_delta_dollars),
        "Gamma 1 %": wording.money(totals.gamma_1pct_dollars),
        "Vega": wording.money(totals.vega_per_point),
        "Vega 30 d": wording.money(totals.vega_30d_per_point),
        "Theta": wording.money(totals.theta_per_day),
    }
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*columns.values())
    return table


def _mark(level: Level) -> Text:
    mark, style = MARKS[level]
    return Text(f"{mark} {level.value}", style)
