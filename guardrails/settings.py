"""Settings from the environment or `.env`. A misspelt name is an error, not a default that nobody chose."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from guardrails.errors import SettingsError
from guardrails.redaction import hide_settings

_PREFIX = "GUARDRAILS_"
SOURCES = ("demo", "ibkr", "tastytrade", "statement:PATH")
"""what GUARDRAILS_SOURCES may name today"""


def _default_matrix() -> Path:
    """The file in the working folder, else the one shipped beside the package."""
    here = Path("risk_matrix.yaml")
    return here if here.exists() else Path(__file__).resolve().parent.parent / here.name


class Scenario(StrEnum):
    """What the demo market does."""

    CALM = "calm"
    SELLOFF = "selloff"
    CRASH = "crash"
    STALE = "stale"


class TradingSetting(StrEnum):
    """Whether orders may be sent to a broker."""

    OFF = "off"
    PAPER = "paper"
    """to accounts that reach no real exchange, and to no other"""
    LIVE = "live"
    """to the accounts in GUARDRAILS_LIVE_ACCOUNTS, and to no other"""


class Settings(BaseSettings):
    """Everything that can be set from outside; see the README for the meaning of each."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    guardrails_sources: Annotated[tuple[str, ...], NoDecode] = ("demo",)
    guardrails_demo_scenario: Scenario = Scenario.CALM
    guardrails_data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("portfolio-guardrails")))
    guardrails_matrix: Path = Field(default_factory=_default_matrix)
    guardrails_prices: Path | None = None
    guardrails_refresh_seconds: Annotated[float, Field(ge=0.2, le=10)] = 2.0
    """more than a third of `stale_after_seconds` would make a healthy stream look silent"""
    guardrails_snapshot_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    guardrails_history_seconds: Annotated[float, Field(ge=1, le=900)] = 15.0
    """how often a row of the recent days is written"""
    guardrails_raw_days: Annotated[int, Field(ge=1, le=400)] = 3
    """sessions that are kept with every row; older ones are rolled up to quarters of an hour and moved to files"""
    guardrails_archive_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """calendar days after which those files are deleted; 0 keeps them for ever"""
    database_url: SecretStr | None = None
    """None: SQLite in the data folder; or a URL that begins with postgresql+psycopg://"""
    ibkr_host: str = "127.0.0.1"
    ibkr_port: Annotated[int, Field(ge=1, le=65535)] = 4002
    """TWS 7496 (paper 7497), IB Gateway 4001 (paper 4002)"""
    ibkr_client_id: Annotated[int, Field(ge=0, le=999_999_999)] = 17
    ibkr_account: SecretStr | None = None
    """full account number; None reads every account of the login"""
    ibkr_market_data_lines: Annotated[int, Field(ge=1, le=10_000)] = 100
    """quotes IBKR lets this login stream at once, as TWS shows under Account, Market Data Connections"""

    ibkr_trading: TradingSetting = TradingSetting.OFF
    """whether orders may be sent to IBKR"""

    tt_secret: SecretStr | None = None
    """client secret of the OAuth application at tastytrade"""
    tt_refresh: SecretStr | None = None
    """refresh token of the grant"""
    tastytrade_base_url: str = "https://api.tastyworks.com"
    """another one for the sandbox (https://api.cert.tastyworks.com) or tests"""

    tt_trading: TradingSetting = TradingSetting.OFF
    """whether orders may be sent to tastytrade"""
    guardrails_live_accounts: SecretStr | None = None
    """accounts that may trade live, by full number, with commas between"""
    guardrails_api_token: SecretStr | None = None
    """bearer token of the HTTP routes that simulate and send; they refuse without it"""

    slack_webhook_url: SecretStr | None = None
    smtp_host: str = ""
    """server that takes mail from you"""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    """465 is TLS from the first byte, every other one STARTTLS"""
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = True
    """off only for a server on this machine"""
    alert_email_from: str = ""
    """empty: SMTP_USER, when that is an address"""
    alert_email_to: Annotated[tuple[str, ...], NoDecode] = ()
    """addresses with commas between"""
    alert_urls: SecretStr | None = None
    """more channels as Apprise URLs, each alone or as name=URL, with commas or blanks between"""
    heartbeat_url: SecretStr | None = None
    """dead-man's switch, pinged after good cycles, at most once a minute"""
    guardrails_link: str = "http://127.0.0.1:8501"
    """where the reader of a message opens the app, without a path"""

    @field_validator("guardrails_sources", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if not names:
            message = f"is empty: name at least one of {', '.join(SOURCES)}"
            raise ValueError(message)
        for name in names:
            if not is_source(name):
                message = f"has {name!r}: it must be one of {', '.join(SOURCES)}"
                raise ValueError(message)
        if "demo" in names and (live := {"ibkr", "tastytrade"}.intersection(names)):
            message = (
                f"has demo beside {' and '.join(sorted(live))}: what the demo invents would offset the risk of real "
                "positions in one book. Name the one or the other"
            )
            raise ValueError(message)
        return names

    @property
    def live_accounts(self) -> frozenset[str]:
        """The numbers in GUARDRAILS_LIVE_ACCOUNTS."""
        told = self.guardrails_live_accounts
        return frozenset(re.split(r"[,;\s]+", told.get_secret_value().strip())) - {""} if told else frozenset()

    @field_validator("alert_email_to", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("guardrails_link")
    @classmethod
    def _address_only(cls, value: str) -> str:
        if re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?", value):
            return value.rstrip("/")
        message = "must be http:// or https:// and a host, with a port where needed and nothing behind it"
        raise ValueError(message)


def is_source(name: str) -> bool:
    """Whether `name` is one of `SOURCES`."""
    return name in ("demo", "ibkr", "tastytrade") or (name.startswith("statement:") and name != "statement:")


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force; SettingsError names every unknown or wrong one and the nearest valid name.

    From then on no log, error or page of this process shows one of their secrets (`redaction.hide_settings`).
    """
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in (os.environ if environment is None else environment)} | _names_in_dotenv()
    problems = [
        f"{name}: unknown setting{_nearest(name, known)}" for name in sorted(given - known) if name.startswith(_PREFIX)
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [
            f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None
    hide_settings(settings)
    return settings


def _names_in_dotenv() -> set[str]:
    """Names assigned in `.env`, so that a misspelt one there is found too."""
    path = Path(".env")
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {
        line.split("=", 1)[0].removeprefix("export ").strip().upper()
        for line in lines
        if "=" in line and not line.startswith("#")
    }


def _nearest(name: str, known: set[str]) -> str:
    endings = {full.removeprefix(_PREFIX): full for full in known}  # the common prefix makes any two names look alike
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), endings, n=1)
    return f"; did you mean {endings[close[0]]}?" if close else f"; known are {', '.join(sorted(known))}"
