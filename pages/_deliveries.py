"""What was told before: messages that were given up, the timeline, all deliveries, which alerts led to actions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from guardrails import calendar
from guardrails.alerts.values import DeliveryState
from guardrails.engine import Engine
from guardrails.findings import Level
from guardrails.redaction import redact
from guardrails.requests import Kind
from guardrails.store.alert_history import CheckCount, DeliveryRow
from guardrails.titles import title_of
from pages._alert_past import MOST_MESSAGES, MOST_STEPS, AlertPast, never_acted_on, range_of, read
from pages._alerts import one, said, say_severity, short
from pages._engine import Stored
from pages._moment import day_and_time, full_time
from pages._parts import counted, text
from pages._press import act
from pages._timeline import MOST_LANES, figure_of, lanes, stretches, summary, table_of
from pages._wishes import answers, look, pending, wish

_DEAD_SHOWN = 20
_TIME = "ddd D MMM HH:mm:ss"
_STATES = {
    DeliveryState.SENT: "✓ sent",
    DeliveryState.WAITING: "… waiting",
    DeliveryState.FAILED: "◐ failed, tried again",
    DeliveryState.DEAD: "✖ given up",
    DeliveryState.SUPERSEDED: "↷ superseded by a newer one",
}
_CHECK_COLUMNS = {
    "Fired": "Alerts that began in this range.",
    "Told": "Of them, about how many a message was sent.",
    "Acknowledged": "Of them, how many somebody took.",
    "Acted": "Of them, how many led to an action, as somebody said here.",
    "Minutes to acknowledge": "Median, from firing to the first acknowledgement.",
}


def deliveries(service: Engine, stored: Stored | None, *, asks: bool) -> None:
    """Draw all of it; `asks` says whether what was given up may be sent again from here."""
    st.subheader("What was told")
    if stored is None:
        st.html(
            one(Level.UNKNOWN, "Nothing is kept: there is no database that works. What was told is in the log only.")
        )
        return
    begin, end = range_of(service.now())
    past = read(stored, begin, end, service.now())
    if isinstance(past, str):
        st.html(one(Level.UNKNOWN, f"{past} What was told before is not known; try Refresh."))
        return
    st.caption(_about(past))
    _dead(service, [row for row in past.messages if row.state is DeliveryState.DEAD], asks=asks)
    _timeline(service, past)
    _messages(past)
    _checks(past.checks)


def _about(past: AlertPast) -> str:
    """What was read, and what of it is left out."""
    words = [
        f"As of {full_time(past.end)}, from {day_and_time(past.begin)}",
        counted(len(past.steps), "step") + (", the newest only" if len(past.steps) >= MOST_STEPS else ""),
        f"{len(past.messages)} {'delivery' if len(past.messages) == 1 else 'deliveries'}",
    ]
    return ", ".join(words) + (", the newest only." if len(past.messages) >= MOST_MESSAGES else ".")


def _dead(service: Engine, rows: Sequence[DeliveryRow], *, asks: bool) -> None:
    if not rows:
        return
    st.markdown(f"**Given up: {counted(len(rows), 'message')} that did not arrive**")
    _answers(service, Kind.SEND_AGAIN)
    for row in rows[:_DEAD_SHOWN]:
        left, right = st.columns([8, 1], vertical_alignment="center")
        tried = f"{counted(row.attempts, 'attempt')}, given up {day_and_time(row.changed)}: {row.detail or 'no answer'}"
        left.html(
            one(Level.BREACH, f"{title_of_message(row)} → {row.channel}", f'<div class="pg-soft">{said(tried)}</div>')
        )
        if asks:
            what = f"Send again to {row.channel}: {title_of_message(row)}"
            right.button(
                "Send again", key=f"again_{short(row.key)}", disabled=pending(Kind.SEND_AGAIN, row.key, service.now()),
                on_click=act, args=(wish, service, Kind.SEND_AGAIN, row.key, what, {"delivery": row.key}),
            )  # fmt: skip
    if len(rows) > _DEAD_SHOWN:
        st.caption(f"{len(rows) - _DEAD_SHOWN} more are in the table of deliveries below.")


def _answers(service: Engine, kind: Kind) -> None:
    """Draw what came of what was asked here, as it comes."""

    @st.fragment(run_every=service.settings.refresh_seconds)
    def told() -> None:
        look(service)
        st.html(answers(service, (kind,)) or "<span></span>")

    told()


def title_of_message(row: DeliveryRow) -> str:
    """The title of a message; that it cannot be read when it is of another version of this program."""
    return "a message this version cannot read" if row.message is None else row.message.title


def _timeline(service: Engine, past: AlertPast) -> None:
    alerts = service.alerts
    parts = stretches(past.steps, past.begin, past.end, () if alerts is None else alerts.active)
    if not parts and not past.steps:
        st.write("No alert was open in this range, as far as anybody watched: see History for when the program ran.")
        return
    theme = st.context.theme.type or "light"
    st.plotly_chart(
        figure_of(parts, past.steps, past.begin, past.end, theme),
        key="alert_timeline",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]},
        alt=summary(parts),
    )
    hidden = len(lanes(parts)) - MOST_LANES
    left = f" {counted(hidden, 'more alert')} only in the table." if hidden > 0 else ""
    st.caption(f"New York time. Pale: somebody has it, or it is silenced. ▼ somebody was told.{left}")
    with st.expander(f"Timeline as a table: {counted(len(past.steps), 'step')}", key="timeline_rows"):
        _table(table_of(past.steps), "alert-timeline", "Steps in the life of alerts")


def _messages(past: AlertPast) -> None:
    with st.expander(f"Deliveries: {len(past.messages)}", key="delivery_rows"):
        _table(delivery_table(past.messages), "alert-deliveries", "Messages to channels, with what was answered")


def delivery_table(rows: Sequence[DeliveryRow]) -> pd.DataFrame:
    """One row per message and channel, newest first."""
    messages = [row.message for row in rows]
    return pd.DataFrame(
        {
            "Time, ET": pd.to_datetime([row.created for row in rows], utc=True).tz_convert(calendar.NEW_YORK),
            "Channel": [row.channel for row in rows],
            "State": [_STATES[row.state] for row in rows],
            "Severity": ["?" if message is None else say_severity(message.severity) for message in messages],
            "Message": [redact(title_of_message(row)) for row in rows],
            "Alerts": [len(row.alerts) for row in rows],
            "Attempts": [row.attempts for row in rows],
            "Answered": [redact(row.detail) for row in rows],
            "Last change, ET": pd.to_datetime([row.changed for row in rows], utc=True).tz_convert(calendar.NEW_YORK),
        }
    )


def _checks(checks: Sequence[CheckCount]) -> None:
    st.markdown("**Alerts that led to an action**")
    if not checks:
        st.write("No alert began in this range.")
        return
    table = pd.DataFrame(
        {
            "Check": [title_of(check.check) for check in checks],
            "Fired": [check.fired for check in checks],
            "Told": [check.told for check in checks],
            "Acknowledged": [check.acknowledged for check in checks],
            "Acted": [check.acted for check in checks],
            "Minutes to acknowledge": [check.median_minutes for check in checks],
        }
    ).sort_values("Told", ascending=False, kind="stable")
    config = {name: st.column_config.NumberColumn(help=says, format="%.0f") for name, says in _CHECK_COLUMNS.items()}
    config["Minutes to acknowledge"] = st.column_config.NumberColumn(
        help=_CHECK_COLUMNS["Minutes to acknowledge"], format="%.1f"
    )
    st.dataframe(
        table, key="alert_checks", hide_index=True, placeholder="–", column_config=config,
        alt="Of each check how many alerts fired, were told, acknowledged and acted on",
    )  # fmt: skip
    for words in never_acted_on(checks):
        st.html(f'<div class="pg-filter">{text(words)}</div>')


def _table(table: pd.DataFrame, name: str, alt: str) -> None:
    """Draw a table that can be sorted and saved."""
    times = [column for column in table.columns if column.endswith(", ET")]
    zone = calendar.NEW_YORK.key
    st.dataframe(
        table, key=name, hide_index=True, alt=alt,
        column_config={column: st.column_config.DatetimeColumn(format=_TIME, timezone=zone) for column in times},
    )  # fmt: skip
    st.download_button(
        "Download as CSV", lambda: table.to_csv(index=False).encode(), file_name=f"{name}.csv", mime="text/csv",
        key=f"save_{name}", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
