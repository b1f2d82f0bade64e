"""Connections: each source with the condition it is in, what of it works, what does not, and the switch to flip."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from guardrails import wording
from guardrails.findings import Finding, Level
from guardrails.settings import Settings
from guardrails.snapshot.sources import SourceRow, StreamRow
from guardrails.values import AccountId, SourceState
from pages._engine import engine, wiring
from pages._moment import Moment, age_of, day_and_time, read
from pages._parts import LOOKS, findings_list, nothing_yet, pill, text

SAYS = {
    SourceState.LIVE: "speaks",
    SourceState.CONNECTING: "has not delivered a complete book yet",
    SourceState.STALE: "has gone silent",
    SourceState.DOWN: "is not connected",
    SourceState.CLOSED: "is quiet because its market is closed",
    SourceState.FILE: "is a file: a picture of one past moment",
}
SWITCHES = """
In TWS open **Global Configuration → API → Settings**, in IB Gateway **Configure → Settings → API → Settings**, and set:

| Setting | Must be |
|---|---|
| Enable ActiveX and Socket Clients | on (IB Gateway has it on by itself) |
| Socket port | that of `IBKR_PORT`: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper |
| Trusted IPs | 127.0.0.1 |
| Read-Only API | off only if previews and orders are wanted; positions, margin and quotes work with it on |
| Download open orders on connection | on |
"""
USUAL_PORTS = {7496: "TWS, live", 7497: "TWS, paper", 4001: "IB Gateway, live", 4002: "IB Gateway, paper"}
IBKR = "ibkr"


def of_source(check: str, name: str, moment: Moment) -> Finding | None:
    """The finding of `check` about the source called `name`."""
    found = () if moment.snapshot is None else moment.snapshot.findings
    return next((f for f in found if f.check == check and f.subject == f"source:{name}"), None)


def level_of(name: str, moment: Moment) -> Level:
    """The light of a source; UNKNOWN when nothing has judged it."""
    finding = of_source("source_state", name, moment)
    return Level.UNKNOWN if finding is None else finding.level


def card(row: SourceRow, moment: Moment) -> str:
    """HTML of one source: light, state and condition in words, what to do, what works only in part."""
    level, state = level_of(row.name, moment), SourceState(row.state)
    says = SAYS[state]
    if moment.old:
        says = "is not known now. Last seen"
    elif level is Level.UNKNOWN and state is SourceState.LIVE:
        says = "is not heard now"
    age = None if moment.snapshot is None else age_of(row, moment.snapshot, moment.now)
    condition = wording.plain(row.condition)
    if row.since is not None:
        past = max((moment.now - row.since).total_seconds(), 0.0)
        condition = f"{condition} since {day_and_time(row.since)} ({wording.age(past)})".strip()
    heard = "never heard" if age is None else f"last word {wording.age(age)} ago"
    history = ", ".join(part for part in (condition, heard, wording.attempts(row.retries)) if part)
    action = f'<div class="pg-next"><b>What to do: {text(row.action)}</b></div>' if row.action else ""
    said = [row.detail, *(f"Works in part: {warning}" for warning in row.warnings)]
    if row.clock_skew is not None:
        said.append(f"Its clock {wording.skew(row.clock_skew)}.")
    soft = "".join(f"<div>{text(line)}</div>" for line in said if line)
    return (
        f'<ul class="pg-list"><li>{pill(level)}<div class="pg-body"><b>{text(row.name)}</b> '
        f'{says}: {text(history)}.{action}<div class="pg-soft">{soft}</div></div></li></ul>'
    )


def stream_level(stream: StreamRow, row: SourceRow, moment: Moment) -> tuple[Level, str]:
    """Level and word of one stream; in an old snapshot nothing is said to work."""
    if stream.works is False:
        dark = row.state in (SourceState.DOWN, SourceState.STALE, SourceState.CONNECTING)
        return Level.UNKNOWN if dark else Level.WATCH, "does not work"
    if moment.old or row.state == SourceState.DOWN:
        return Level.UNKNOWN, "not known"
    return (Level.OK, "works") if stream.works else (Level.UNKNOWN, "not heard yet")


def streams(row: SourceRow, moment: Moment) -> pd.DataFrame:
    """One row per stream: what does not work first, then what was not heard."""
    late = 0.0 if moment.snapshot is None else max((moment.now - moment.snapshot.as_of).total_seconds(), 0.0)
    order = {False: 0, None: 1, True: 2}
    rows = sorted(row.streams, key=lambda stream: order[stream.works])
    judged = [stream_level(stream, row, moment) for stream in rows]
    return pd.DataFrame(
        {
            "Stream": [stream.name for stream in rows],
            "State": [f"{LOOKS[level].sign} {word}" for level, word in judged],
            "Age s": [None if stream.age_seconds is None else stream.age_seconds + late for stream in rows],
            "Detail": [stream.detail for stream in rows],
        }
    )


def settings_table(settings: Settings) -> pd.DataFrame:
    """The settings of the connection to IBKR that are in force, the account masked."""
    account = settings.ibkr_account
    usual = USUAL_PORTS.get(settings.ibkr_port, "not a usual port of TWS or IB Gateway")
    rows = (
        ("IBKR_HOST", settings.ibkr_host),
        ("IBKR_PORT", f"{settings.ibkr_port} ({usual})"),
        ("IBKR_CLIENT_ID", str(settings.ibkr_client_id)),
        ("IBKR_ACCOUNT", AccountId("IBKR", account.get_secret_value()).masked if account else "every one of the login"),
        ("IBKR_MARKET_DATA_LINES", str(settings.ibkr_market_data_lines)),
    )
    return pd.DataFrame(rows, columns=["Setting", "In force"])


def ibkr_switches(*, expanded: bool) -> None:
    with st.expander("What must be on in TWS or IB Gateway", key="ibkr_switches", expanded=expanded):
        st.markdown(SWITCHES)
        st.caption("Settings in force; change them in the environment or `.env`, then restart.")
        st.table(settings_table(wiring().settings).set_index("Setting"))


def source(row: SourceRow, moment: Moment) -> None:
    with st.container(border=True, key=f"source_{row.name}"):
        st.html(card(row, moment))
        clock = of_source("clock_skew", row.name, moment)
        if clock is not None and clock.level.rank >= Level.WATCH.rank and not moment.old:
            st.html(findings_list([clock]))
        if row.streams:
            st.dataframe(
                streams(row, moment),
                key=f"streams_{row.name}",
                hide_index=True,
                placeholder="–",
                column_config={
                    "Age s": st.column_config.NumberColumn(
                        format="%.0f", help="Seconds since its last message; – where none was dated."
                    )
                },
                alt=f"Streams of {row.name} with state, age and detail",
            )
        if row.name == IBKR:
            ibkr_switches(expanded=row.state in (SourceState.DOWN, SourceState.CONNECTING))


service = engine()


@st.fragment(run_every=service.settings.refresh_seconds)
def connections() -> None:
    moment = read(service)
    if moment.snapshot is None:
        nothing_yet(moment, service.names)
        if IBKR in service.names:
            ibkr_switches(expanded=True)
        return
    st.subheader("Sources")
    if not moment.snapshot.sources:
        st.write(
            "No source is configured: set GUARDRAILS_SOURCES to demo, ibkr, tastytrade or statement:PATH, then restart."
        )
    for row in sorted(moment.snapshot.sources, key=lambda row: -level_of(row.name, moment).rank):
        source(row, moment)


connections()
