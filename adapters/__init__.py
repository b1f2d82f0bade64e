"""One room per outside party. Each translates at its edge and hands inward only values of `guardrails`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from adapters.trading_mode import TradingMode
from guardrails.brokers import Broker
from guardrails.settings import Settings

STATEMENT, DEMO_FILE = "statement:", "demo-orders.json"


def open_sources(names: Iterable[str], settings: Settings, clock: Callable[[], datetime]) -> list[Broker]:
    """The sources called `names`, as in GUARDRAILS_SOURCES; each room is imported only when it is asked for.

    All statements are one source, because tastytrade's positions and balances come in two files.
    """
    sources: list[Broker] = []
    ibkr_mode = TradingMode(settings.ibkr_trading, settings.live_accounts, "IBKR_TRADING")
    tastytrade_mode = TradingMode(settings.tt_trading, settings.live_accounts, "TT_TRADING")
    wanted = list(dict.fromkeys(names))
    if "demo" in wanted:
        from adapters.demo import DemoSource  # noqa: PLC0415  # rooms are imported when asked for

        file = settings.guardrails_data_dir / DEMO_FILE
        modes = {"IBKR": ibkr_mode, "tastytrade": tastytrade_mode}
        sources.append(DemoSource(settings.guardrails_demo_scenario, modes=modes, file=file))
    if "ibkr" in wanted:
        from adapters.ibkr.source import Gateway, IbkrSource  # noqa: PLC0415  # as above

        account = settings.ibkr_account
        gateway = Gateway(
            settings.ibkr_host,
            settings.ibkr_port,
            settings.ibkr_client_id,
            account.get_secret_value() if account else "",
            settings.ibkr_market_data_lines,
        )
        sources.append(IbkrSource(gateway, clock, ibkr_mode))
    if "tastytrade" in wanted:
        from adapters.tastytrade.source import Access, TastytradeSource  # noqa: PLC0415  # as above

        secret, refresh = settings.tt_secret, settings.tt_refresh
        access = Access(
            secret.get_secret_value() if secret else "",
            refresh.get_secret_value() if refresh else "",
            settings.tastytrade_base_url.rstrip("/"),
            practice=True,  # whoever points the base URL at this machine runs the server there
        )
        sources.append(TastytradeSource(access, clock, tastytrade_mode))
    files = [Path(name.removeprefix(STATEMENT)) for name in wanted if name.startswith(STATEMENT)]
    if files:
        from adapters.statements import StatementSource  # noqa: PLC0415  # as above

        sources.append(StatementSource(files, settings.guardrails_prices))
    return sources
