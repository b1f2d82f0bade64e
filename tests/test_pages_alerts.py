"""The Alerts page: what an alert says of itself, what a person can do about it, and that it is never calmer than it
may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from guardrails.alerts.values import (
    AlertRow,
    AlertsNow,
    ChannelRow,
    DeliveryState,
    Problem,
    Reason,
    Severity,
    Silence,
    State,
    WatchRow,
)
from guardrails.engine import Engine, EngineSettings, Health
from guardrails.findings import Level
from guardrails.matrix.alerts import AlertRules
from guardrails.matrix.explain_alerts import alert_sentences
from guardrails.requests import Answer, Kind, Request, Said
from guardrails.settings import Settings
from guardrails.snapshot import Snapshot
from guardrails.store.alert_history import CheckCount, TimelineRow
from guardrails.store.alert_rows import alert_news
from guardrails.store.books import book_of
from guardrails.store.database import Database, open_database
from guardrails.store.news import Numbers
from guardrails.store.proof import insert_proven
from pages import _alert_causes, _alert_forms, _alert_past, _alert_rows, _alert_watch, _notify, _timeline, _wishes
from pages._alerts import CRITICAL, LOOK_OF, card, short
from pages._engine import Wiring
from pages._moment import Moment
from tests import alerted
from tests.books import NOW
from tests.healthy import healthy
from tests.test_pages import MATRIX_FILE, Clock, book, shown, words
from tests.test_pages import Said as Source
from tests.test_pages_parts import luminance
from tests.test_past import look_at, queries

CUSHION, EXPIRY = "margin_cushion account:IBKR •••4567", "short_option_expiry position:IBKR •••4567 x"
LOG, SLACK = ChannelRow("log", "log", works=True), ChannelRow("slack", "Slack", works=None)
NO_RULES = AlertRules()
SEEN = {"severity": "BREACH", "step": "0", "fired": "2026-11-18T15:11:00+00:00"}
"""what a request says of the alert that the person saw"""
SNAPSHOT = healthy().assess().snapshot
LADDER = AlertRules.model_validate({"escalation": [{"after_minutes": 10, "channels": ["phone"]}]})


def minutes(count: float) -> datetime:
    """So many minutes after NOW, a Wednesday at 10:30:00 in New York."""
    return NOW + timedelta(minutes=count)


def row(identity: str = CUSHION, severity: Severity = Severity.BREACH, **more: Any) -> AlertRow:
    """An alert of 19 minutes ago, told twice."""
    check, _, subject = identity.partition(" ")
    problem = Problem(check, subject, severity, "Cushion 14 %, at least 20 %.", next_action="Close 1 of it.")
    began = minutes(-19)
    given = AlertRow(identity, check, subject, "margin", severity, State.FIRED, problem, began, began, minutes(-9), 2)
    return replace(given, **more)


def now_of(*active: AlertRow, channels: Sequence[ChannelRow] = (LOG, SLACK), **more: Any) -> AlertsNow:
    watch = WatchRow(minutes(-60), NOW - timedelta(seconds=2))
    return replace(AlertsNow(NOW, active, tuple(channels), 3, 20, watch=watch), **more)


class Told:
    """What the engine asks of the alerts: it says what it was given and notes what it is asked."""

    def __init__(self, now: AlertsNow, said: Said | None = Said.DONE) -> None:
        self.now = now
        self.said = said
        self.asked: list[Request] = []

    def do(self, request: Request) -> None:
        self.asked.append(request)

    def answer(self, key: str) -> Answer | None:
        known = any(request.key == key for request in self.asked)
        return Answer(key, NOW, self.said, "Done") if known and self.said is not None else None

    def start(self) -> None:
        return None

    def begin(self, sources: Sequence[str], scenario: str) -> None:
        return None

    def see(self, snapshot: Snapshot, rules: AlertRules) -> None:
        return None

    def idle(self) -> None:
        return None

    def stop(self, seconds: float) -> None:
        return None


Start = Callable[..., Engine]


@pytest.fixture
def alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine whose alerts are those of `desk` and wire the pages to it."""
    running: list[Engine] = []

    def begin(desk: Told | None, database: Database | None = None, *, run: bool = True) -> Engine:
        settings = EngineSettings(tmp_path / "run", refresh_seconds=0.2, snapshot_seconds=3600)
        engine = Engine([Source(book())], MATRIX_FILE, settings, Clock(), "", desk)
        monkeypatch.setattr("pages._engine.wiring", lambda: Wiring(engine, None, Settings(), database))
        if not run:
            return engine
        running.append(engine)
        engine.start()
        deadline = time.monotonic() + 30
        while engine.latest is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return engine

    yield begin
    for engine in running:
        engine.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    kept = open_database(tmp_path, lambda: NOW)
    yield kept
    kept.close()


def press(at: AppTest, start_of_key: str) -> AppTest:
    """Click the first button whose key begins so."""
    button = next(one for one in at.button if str(one.key).startswith(start_of_key))
    at = button.click().run()
    assert not at.exception, at.exception
    return at


def labels(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


# --- what one alert says ---


def test_a_card_says_what_how_bad_since_when_told_and_to_whom_next() -> None:
    said = card(
        row(severity=Severity.CRITICAL, escalates=minutes(4), next_told=minutes(6)), NOW, LADDER, ["slack", "phone"]
    )
    for told in (
        "‼</span> CRITICAL", "Margin cushion, IBKR •••4567", "Cushion 14 %, at least 20 %.", "nobody has it",
        "since Wed 10:11 (19 min)", "told 2 times, last 10:21:00 ET (9 min ago)",
        "escalates to phone in 4 min unless somebody takes it", "told again in 6 min", "<b>Next:</b> Close 1 of it.",
    ):  # fmt: skip
        assert told in said, told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"times_told": 0, "told": None, "held": Reason.HELD_INHIBITED, "held_by": "source_state source:ibkr"},
         "not told to anybody yet · suppressed by its cause: Sources, ibkr"),
        ({"state": State.ACKNOWLEDGED, "owner": "anna", "note": "rolling it"}, "anna has it: “rolling it”"),
        ({"state": State.SILENCED, "silence": Silence("ben", minutes(-1), minutes(40), "bad quote")},
         "silenced until 11:10:00 ET by ben (bad quote)"),
        ({"past_silences": (Silence("ben", minutes(-60), minutes(-5), "bad quote"),)},
         "was silenced until 10:25:00 ET (bad quote), is back"),
        ({"past_silences": (Silence("ben", minutes(-60), minutes(5), "bad quote"),)}, "is back before that time"),
        ({"problem": Problem("x", "", Severity.WATCH, "")}, "WATCH now: it counts as BREACH until that has lasted"),
        ({"problem": Problem("x", "", Severity.UNKNOWN, "")}, "cannot be seen now: it counts as BREACH until"),
        ({"flaps": 7}, "came and went 7 times"),
        ({"flaps": 1}, "came and went 1 time"),
        ({"times_told": 1}, "told once 10:21:00 ET (9 min ago)"),
        ({"acted": True}, "led to an action"),
        ({"escalations": 1, "state": State.ESCALATED}, "was escalated"),
        ({"times_told": 0, "told": None, "next_told": minutes(5), "held": Reason.HELD_GRACE},
         "told in 5 min · suppressed by the grace after a change of regime"),
        ({"held": Reason.HELD_QUIET}, "suppressed by quiet hours"),
        ({"right_since": minutes(-1), "over_at": minutes(0.5)},
         "right since 10:29:00 ET, over in 30 s if it stays so"),
        ({"right_since": minutes(-1)}, "When last wrong: Cushion 14 %, at least 20 %."),
    ],
)  # fmt: skip
def test_a_card_says_why_it_is_not_told_and_what_was_done(more: dict[str, Any], told: str) -> None:
    assert told in card(row(**more), NOW, NO_RULES)


def test_what_is_right_again_is_not_shown_as_wrong_now() -> None:
    problem = Problem("gamma", "portfolio", Severity.WATCH, "Gamma is near.", next_action="Trade less.",
                      data_age_seconds=300.0)  # fmt: skip
    said = card(row(problem=problem, right_since=minutes(-1), over_at=minutes(1)), NOW, LADDER, ["phone"])
    for told in ("WATCH now", "Next:", "data 5 min old", "escalates", "told again"):
        assert told not in said, told


# --- what follows from a cause ---

DOWN = "source_state source:ibkr"


def following(count: int, cause: str = DOWN, **more: Any) -> list[AlertRow]:
    """Rows that are held by `cause`."""
    held = {"held": Reason.HELD_INHIBITED, "held_by": cause, **more}
    return [row(f"beta_quality underlying:Q{i}", Severity.UNKNOWN, **held) for i in range(count)]


def test_what_follows_from_a_cause_is_folded_under_it_and_not_counted() -> None:
    down = row(DOWN, Severity.UNKNOWN)
    rows = [*following(43), down]
    found = _alert_causes.folded(rows)
    assert found.own == (down,)
    assert [len(found.following[DOWN]), found.count] == [43, 43]
    assert _alert_causes.counted_words(found) == "Open alerts: 1, and 43 that follow from it"
    assert _alert_causes.mutes_words(found.following[DOWN]) == (
        "mutes 43 others: Beta quality, Q0; Beta quality, Q1; Beta quality, Q2 and 40 more"
    )
    said = _alert_watch.badge(now_of(*rows))
    assert "UNKNOWN 1" in said
    assert "nobody has it" in said


def test_what_follows_by_way_of_another_stands_under_the_first_cause() -> None:
    down = row(DOWN, Severity.UNKNOWN)
    silent, last = following(1)[0], following(2, "beta_quality underlying:Q0")[1]
    found = _alert_causes.folded([last, silent, down])
    assert (found.own, found.following) == ((down,), {DOWN: (last, silent)})


def test_nothing_hides_behind_what_is_not_shown_in_a_circle_or_when_it_is_broken() -> None:
    gone = following(1, "engine task:assess")
    ring = [row("a x", Severity.UNKNOWN, held=Reason.HELD_INHIBITED, held_by="b x"),
            row("b x", Severity.UNKNOWN, held=Reason.HELD_INHIBITED, held_by="a x")]  # fmt: skip
    broken = row(CUSHION, Severity.BREACH, held=Reason.HELD_INHIBITED, held_by=DOWN)
    rows = [*gone, *ring, broken, row(DOWN, Severity.UNKNOWN)]
    assert _alert_causes.folded(rows).own == tuple(rows)


def test_foreign_text_cannot_become_markup_and_names_no_account_in_full() -> None:
    number = "DU" + "1234567"
    problem = Problem("gamma", "portfolio", Severity.BREACH, f"<img src=x onerror=alert(1)> {number}")
    note = f"<b>{number}</b>"
    said = card(row(problem=problem, state=State.ACKNOWLEDGED, owner="<i>", note=note), NOW, None)
    assert "<img" not in said
    assert f"<b>{number}" not in said
    assert number not in said
    assert "•••4567" in said


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_critical_can_be_read_and_differs_in_word_and_sign(theme: str) -> None:
    ink, back = (luminance(colour) for colour in getattr(CRITICAL, theme))
    assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) >= 4.5
    assert len({look.word for look in LOOK_OF.values()}) == len({look.sign for look in LOOK_OF.values()}) == 4


# --- whether anybody watches ---


def moment_of(**more: Any) -> Moment:
    """A moment at which everything speaks."""
    matrix = MATRIX_FILE.matrix
    return replace(Moment(NOW, SNAPSHOT, old=False, trouble=(), health=health(), matrix=matrix), **more)


def health(**more: Any) -> Health:
    given = Health(alive=True, last_cycle=NOW, cycle_seconds=0.1, cycles=5, problems=(), store_writable=True)
    return replace(given, **more)


@pytest.mark.parametrize(
    ("alerts", "more", "told"),
    [
        (now_of(), {}, ""),
        (None, {}, "started without them"),
        (None, {"health": health(watched_by="desk-pc")}, "of the alerts of desk-pc"),
        (now_of(), {"health": health(alive=False)}, "the engine of this program does not run"),
        (now_of(), {"snapshot": None}, "before the first complete answer"),
        (now_of(), {"old": True, "trouble": ("No data since 10:29:00 ET (60 s)",)}, "No data since 10:29:00 ET (60 s)"),
        (now_of(as_of=NOW - timedelta(seconds=10)), {}, ""),  # five periods of 2 s
        (now_of(as_of=NOW - timedelta(seconds=11)), {}, "since 10:29:49 ET (11 s)"),
    ],
)
def test_it_is_said_when_no_alerts_are_made(alerts: AlertsNow | None, more: dict[str, Any], told: str) -> None:
    said = _alert_watch.not_made(alerts, moment_of(**more), 2.0)
    assert told in said
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("level", "told"),
    [(Level.OK, "✓</span> OK"), (Level.WATCH, "The lights say WATCH"), (Level.BREACH, "lights say BREACH")],
)
def test_no_open_alert_is_no_calmer_than_the_lights(level: Level, told: str) -> None:
    said = _alert_watch.nothing_open(now_of(), moment_of(snapshot=replace(SNAPSHOT, level=level)))
    assert told in said
    assert "No alert is open. Watching since Wed 09:30, last cycle 2 s ago." in said
    assert "safe" not in said


def test_no_open_alert_is_not_green_while_alerts_may_be_lost() -> None:
    calm = moment_of(snapshot=replace(SNAPSHOT, level=Level.OK))
    assert "UNKNOWN" in _alert_watch.nothing_open(now_of(problem="the alerts have ended"), calm)


def test_a_reader_says_who_watches_and_sends() -> None:
    reader = moment_of(health=health(watched_by="desk-pc"))
    said = _alert_rows.standing(now_of(), reader, "")
    assert "desk-pc watches this book and sends; this program shows it and passes on what you ask." in said


def test_monitoring_says_last_cycle_and_next_ping() -> None:
    ping, due = NOW - timedelta(seconds=19), NOW + timedelta(seconds=41)
    watch = WatchRow(minutes(-60), NOW - timedelta(seconds=2), heartbeat=True, last_ping=ping, next_ping=due)
    said = _alert_watch.watch_words(now_of(watch=watch), NOW)
    assert said == (
        "Monitoring since Wed 18 Nov 09:30 ET (1.0 h) · last cycle 2 s ago · last ping 10:29:41 ET (19 s ago) · "
        "next ping in 41 s"
    )


def test_budget_and_digest() -> None:
    said = _alert_watch.budget_words(now_of(digest=5, digest_due=minutes(10)), NOW)
    assert said.startswith("Told today 3 of 20")
    assert "5 alerts for the digest, due 10:40:00 ET (in 10 min)" in said


@pytest.mark.parametrize(
    ("channel", "level", "told"),
    [
        (SLACK, Level.UNKNOWN, "not used since the start of this program"),
        (ChannelRow("slack", "Slack", works=True, last_sent=minutes(-3), last_detail="ok"), Level.OK,
         "works, last 10:27:00 ET (3 min ago): ok"),
        (ChannelRow("email", "e-mail", works=False, last_detail="535 wrong password", failing_since=minutes(-4),
                    next_try=minutes(1)), Level.BREACH,
         "does not work since 10:26:00 ET (4 min ago): 535 wrong password; tried again in 1 min"),
        (ChannelRow("ntfy", "ntfy", None, problem="pip install apprise"), Level.BREACH,
         "cannot be used: pip install apprise"),
    ],
)  # fmt: skip
def test_a_channel_says_whether_it_works(channel: ChannelRow, level: Level, told: str) -> None:
    assert _alert_watch.level_of_channel(channel) is level
    assert _alert_watch.channel_words(channel, NOW) == told


def test_the_header_counts_what_nobody_has_and_channels_that_do_not_work() -> None:
    taken = row(EXPIRY, Severity.CRITICAL, state=State.ACKNOWLEDGED)
    assert _alert_watch.badge(None) == ""
    assert _alert_watch.badge(now_of(taken)) == ""
    said = _alert_watch.badge(now_of(taken, row(), row("gamma portfolio", Severity.WATCH)))
    assert "BREACH 1" in said
    assert "WATCH" not in said
    assert "CRITICAL" not in said
    assert _alert_watch.badge(now_of(row("gamma portfolio", Severity.WATCH))) == ""
    assert "<b>phone</b> does not work" in _alert_watch.badge(
        now_of(channels=[LOG, ChannelRow("phone", "x", works=False)])
    )


# --- what a browser is told ---


def test_a_browser_is_told_of_critical_alerts_that_nobody_has() -> None:
    lost = row(EXPIRY, Severity.CRITICAL)
    taken = row(CUSHION, Severity.CRITICAL, state=State.ACKNOWLEDGED)
    found = _notify.loud(now_of(lost, taken, row("gamma portfolio")), moment_of(), 2.0)
    assert [one["title"] for one in found] == ["CRITICAL: Expiry of shorts, IBKR •••4567 x"]
    assert found[0]["id"] == short(EXPIRY)


def test_a_browser_is_told_what_is_of_the_demo_and_what_is_right_at_the_moment() -> None:
    source = SNAPSHOT.sources[0]
    lost = row(EXPIRY, Severity.CRITICAL, right_since=minutes(-1))
    for names, lead in ((("demo",), "DEMO: CRITICAL"), (("demo", "ibkr"), "CRITICAL"), ((), "CRITICAL")):
        shown = replace(SNAPSHOT, sources=tuple(replace(source, name=name) for name in names))
        [one] = _notify.loud(now_of(lost), moment_of(snapshot=shown), 2.0)
        assert one["title"] == f"{lead}: Expiry of shorts, IBKR •••4567 x"
        assert one["what"] == "When last wrong: Cushion 14 %, at least 20 %."


def test_of_very_many_the_browser_is_told_how_many_more() -> None:
    many = [row(f"gamma underlying:Q{i}", Severity.CRITICAL) for i in range(130)]
    found = _notify.loud(now_of(*many), moment_of(), 2.0)
    assert (len(found), found[-1]["title"]) == (101, "30 more CRITICAL alerts")


@pytest.mark.parametrize(("seconds", "told"), [(30, []), (31, ["watch"])])
def test_a_watch_that_has_gone_quiet_is_told_to_the_browser(seconds: int, told: list[str]) -> None:
    late = now_of(as_of=NOW - timedelta(seconds=seconds))
    assert [one["id"] for one in _notify.loud(late, moment_of(), 2.0)] == told


# --- how long a silence may be ---


def test_the_rest_of_the_session_ends_with_it() -> None:
    ends = _alert_forms.ends_of(NOW)
    assert list(ends) == ["15 min", "1 h", "Rest of session"]
    assert ends["Rest of session"] == datetime(2026, 11, 18, 21, 0, tzinfo=UTC)  # 16:00 in New York


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (
            datetime(2026, 11, 18, 13, 0, tzinfo=UTC),
            datetime(2026, 11, 18, 14, 30, tzinfo=UTC),
        ),  # 08:00, before the open
        (datetime(2026, 11, 20, 22, 0, tzinfo=UTC), datetime(2026, 11, 23, 14, 30, tzinfo=UTC)),  # Friday evening
    ],
)
def test_out_of_hours_a_silence_may_last_to_the_open(now: datetime, opens: datetime) -> None:
    assert list(_alert_forms.ends_of(now).values())[-1] == opens


@pytest.mark.parametrize(
    ("until", "told"),
    [
        (NOW, "has passed"),
        (NOW + timedelta(minutes=1), ""),
        (NOW + timedelta(days=7), ""),
        (NOW + timedelta(days=7, minutes=1), "at most 7 days"),
    ],
)
def test_a_silence_ends_within_seven_days(until: datetime, told: str) -> None:
    said = _alert_forms.wrong_end(until, NOW)
    assert told in said
    assert bool(said) == bool(told)


# --- what came of a wish ---


@pytest.mark.parametrize(
    ("answer", "seconds", "told"),
    [
        (Answer("k", NOW, Said.DONE, "Done."), 1, "Done."),
        (Answer("k", NOW, Said.DONE, "slack took it in 0.4 s"), 1, "done: slack took it in 0.4 s."),
        (Answer("k", NOW, Said.REFUSED, "No such alert."), 1, "not done: No such alert."),
        (Answer("k", NOW, Said.EXPIRED, ""), 1, "not done, nobody took it in time."),
        (Answer("k", NOW, Said.UNKNOWN, ""), 1, "it is not known whether it was done."),
        (None, 9, "asked the watching program on desk-pc 9 s ago …"),
        (None, 10, "the watching program on desk-pc did not answer in 10 s."),
    ],
)
def test_an_answer_is_said_and_so_is_that_there_is_none(answer: Answer | None, seconds: int, told: str) -> None:
    one = _wishes.Wish("k", Kind.ACKNOWLEDGE, CUSHION, "I have it", NOW, answer)
    said = _wishes.outcome(one, NOW + timedelta(seconds=seconds), _wishes.watcher_of("desk-pc"))
    assert said.startswith(told)


def test_the_same_is_asked_once_while_no_answer_has_come(alarm: Start) -> None:
    def script() -> None:
        from guardrails.requests import Kind  # noqa: PLC0415  # a script of its own
        from pages._engine import engine  # noqa: PLC0415  # as above
        from pages._wishes import wish  # noqa: PLC0415  # as above

        for channel in ("slack", "slack", "phone"):
            wish(engine(), Kind.TEST_CHANNEL, channel, "Test", {"channel": channel})

    desk = Told(now_of(), said=None)
    alarm(desk)
    AppTest.from_function(script, default_timeout=30).run()
    assert [one.body["channel"] for one in desk.asked] == ["slack", "phone"]


def test_a_form_that_was_sent_is_not_sent_again(alarm: Start) -> None:
    def script() -> None:
        import streamlit as st  # noqa: PLC0415  # a script of its own

        from guardrails.requests import Kind  # noqa: PLC0415  # as above
        from pages._alert_forms import Asking, send  # noqa: PLC0415  # as above
        from pages._engine import engine  # noqa: PLC0415  # as above
        from pages._wishes import look  # noqa: PLC0415  # as above

        service = engine()
        assert service.alerts is not None
        asking = Asking(Kind.ACTED, service.alerts.active[0], "nonce")
        st.session_state["alert_asking"] = asking
        for _ in range(2):
            send(service, asking, asking.row)
            look(service)  # it is answered, and so pends no more

    desk = Told(now_of(row()))
    alarm(desk)
    assert not AppTest.from_function(script, default_timeout=30).run().exception
    assert len(desk.asked) == 1


# --- the rules ---


def test_rules_are_read_aloud() -> None:
    said = "\n".join(alert_sentences(LADDER, ["log", "slack", "phone"]))
    for told in (
        "Told first: slack.",
        "CRITICAL at once, a BREACH at once, UNKNOWN after 30 s, WATCH after 1 min",
        "CRITICAL is a margin call, excess liquidity below zero, a BREACH of Expiry of shorts, and any BREACH",
        "that is over its limit by 80 % of it",
        "over its limit by 25 %, 50 %, 100 %, … of it",
        "CRITICAL every 15 min, BREACH every 1 h, UNKNOWN every 4 h; WATCH is not",
        "If nobody acknowledges a BREACH or a CRITICAL within 10 min, phone is told.",
        "At most 20 messages a day",
        "a digest every 4 h",
        "No quiet hours",
    ):
        assert told in said, told


@pytest.mark.parametrize(
    ("given", "channels", "told"),
    [
        ({}, ["log"], "No channel is configured but the log: alerts are written down, and nobody is told."),
        ({"channels": ["slack", "pager"]}, ["slack", "email"], "Told first: slack (pager of the rules"),
        ({"channels": ["pager"]}, ["slack", "email"], "slack and email (pager of the rules is not"),
        ({"escalation": [{"after_minutes": 5, "channels": ["boss"], "only_critical": True}]}, ["slack"],
         "If nobody acknowledges a CRITICAL within 5 min, every channel is told (boss is not configured)."),
        ({"quiet_hours": {"begin": "22:00", "end": "07:30"}}, ["slack"],
         "From 22:00 to 07:30 New York time WATCH waits for the digest; all else is told as ever."),
        ({"settle_seconds": {"watch": 90}}, ["slack"], "WATCH after 1.5 min"),
        ({"repeat_minutes": {"unknown": 0, "breach": 0, "critical": 0}}, ["slack"], "acknowledged is not told again."),
        ({"daily_budget": 0}, ["slack"], "no messages of their own are sent: they go into a digest every 4 h."),
        ({"critical": []}, ["slack"], "CRITICAL is a margin call, excess liquidity below zero, and any BREACH"),
    ],
)  # fmt: skip
def test_every_rule_has_its_sentence(given: dict[str, Any], channels: list[str], told: str) -> None:
    assert told in "\n".join(alert_sentences(AlertRules.model_validate(given), channels))


# --- the timeline ---


def step(alert: str, after: float, severity: Severity, state: State, reason: Reason) -> TimelineRow:
    check, _, subject = alert.partition(" ")
    return TimelineRow(minutes(after), alert, check, subject, severity, state, reason.value, "", "", "it is over", None)


def test_lanes_are_drawn_where_an_alert_is_known_to_have_been_open() -> None:
    begin, end = minutes(-60), minutes(0)
    told = [
        step("vega portfolio", -50, Severity.WATCH, State.FIRED, Reason.FIRST),
        step("vega portfolio", -40, Severity.BREACH, State.FIRED, Reason.WORSENED),
        step("vega portfolio", -30, Severity.BREACH, State.ACKNOWLEDGED, Reason.ACKNOWLEDGED),
        step("vega portfolio", -10, Severity.BREACH, State.RESOLVED, Reason.RESOLVED),
        step("gamma portfolio", -20, Severity.BREACH, State.RESOLVED, Reason.RESOLVED),  # open before the range
        step("drawdown portfolio", -15, Severity.BREACH, State.FIRED, Reason.FIRST),
        step("drawdown portfolio", -12, Severity.BREACH, State.FIRED, Reason.REPEAT),  # and not heard of since
        step("theta_cap portfolio", -5, Severity.WATCH, State.FIRED, Reason.FIRST),  # still open
    ]
    still = [
        row("theta_cap portfolio", Severity.WATCH), row(CUSHION, fired=minutes(-90)),
        row("gamma portfolio", Severity.WATCH, fired=minutes(-2)),  # its first step is not kept yet
    ]  # fmt: skip
    parts = _timeline.stretches(told[::-1], begin, end, still)
    assert {(p.alert, (p.begin - NOW) // timedelta(minutes=1), (p.end - NOW) // timedelta(minutes=1), p.severity.value,
             p.state.value) for p in parts} == {
        ("vega portfolio", -50, -40, "WATCH", "fired"), ("vega portfolio", -40, -30, "BREACH", "fired"),
        ("vega portfolio", -30, -10, "BREACH", "acknowledged"), ("gamma portfolio", -60, -20, "BREACH", "fired"),
        ("gamma portfolio", -2, 0, "WATCH", "fired"),
        ("drawdown portfolio", -15, -12, "BREACH", "fired"), ("drawdown portfolio", -12, -12, "BREACH", "fired"),
        ("theta_cap portfolio", -5, 0, "WATCH", "fired"), (CUSHION, -60, 0, "BREACH", "fired"),
    }  # fmt: skip
    assert _timeline.lanes(parts) == [
        "gamma portfolio", CUSHION, "vega portfolio", "drawdown portfolio", "theta_cap portfolio"
    ]  # fmt: skip
    assert "BREACH" in _timeline.summary(parts)
    drawn = [_timeline.figure_of(parts, told, begin, end, "light").to_json() for _ in range(2)]
    assert drawn[0] == drawn[1]
    names = {trace.name for trace in _timeline.figure_of(parts, told, begin, end, "dark").data}
    assert names == {"◐ WATCH", "✖ BREACH", "✖ BREACH, somebody has it", "told"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_leaves_the_colour_of_text_to_the_theme_of_the_browser(theme: str) -> None:
    part = _timeline.Stretch("x y", minutes(-10), minutes(0), Severity.WATCH, State.FIRED, "")
    layout = _timeline.figure_of([part], [], minutes(-60), minutes(0), theme).to_plotly_json()["layout"]
    assert "color" not in layout["font"]
    assert not any("color" in layout[axis].get("tickfont", {}) for axis in ("xaxis", "yaxis"))
    assert "layout" in layout["template"], "what the browser puts its colours into"


@pytest.mark.parametrize(
    ("first", "begins"),
    [(-1440, -1440), (-1300, -1440), (-1000, -1030), (-100, -105)],  # a margin of 3 %, at least 5 minutes
)
def test_the_picture_begins_shortly_before_the_first_alert(first: float, begins: float) -> None:
    part = _timeline.Stretch("x y", minutes(first), minutes(0), Severity.WATCH, State.FIRED, "")
    assert _timeline.first_shown([part], minutes(-1440), minutes(0)) == minutes(begins)


def test_what_is_told_often_and_never_acted_on_is_named() -> None:
    checks = [
        CheckCount("gamma", 9, 5, 2, 0, 3.0), CheckCount("vega", 9, 8, 0, 0, None), CheckCount("x", 9, 4, 0, 0, None),
        CheckCount("margin_cushion", 9, 9, 9, 1, 1.0),
    ]  # fmt: skip
    said = _alert_past.never_acted_on(checks)
    assert [words.partition(":")[0] for words in said] == ["Vega", "Gamma for a 1 % move"]
    assert "8 alerts told, none led to an action" in said[0]


# --- the page ---


def test_a_cause_stands_on_the_page_with_what_follows_from_it_under_it(alarm: Start) -> None:
    alarm(Told(now_of(*following(43), row(DOWN, Severity.UNKNOWN))))
    at = shown("alerts.py")
    said = words(at)
    assert "Open alerts: 1, and 43 that follow from it" in said
    assert labels(at).count("I have it") == 1
    assert "mutes 43 others: Beta quality, Q0; Beta quality, Q1; Beta quality, Q2 and 40 more" in said
    assert at.expander[0].label == "Show what follows from it: 43"


def test_before_the_first_answer_nothing_is_calm(alarm: Start) -> None:
    alarm(Told(now_of()), run=False)
    said = words(shown("alerts.py"))
    assert "No alerts are made: the engine of this program does not run." in said
    assert "No alert is open" not in said


def test_what_is_open_is_listed_with_what_can_be_done(alarm: Start) -> None:
    alarm(Told(now_of(row(EXPIRY, Severity.CRITICAL), row())))
    at = shown("alerts.py")
    said = words(at)
    assert "Open alerts: 2" in said
    assert said.index("Expiry of shorts") < said.index("Margin cushion, IBKR •••4567</b>")
    assert labels(at).count("I have it") == labels(at).count("Silence …") == labels(at).count("I acted") == 2
    assert labels(at).count("Send test") == 2
    assert "No dead-man" in said


def test_somebody_takes_an_alert_with_a_note_and_is_asked_once(alarm: Start) -> None:
    desk = Told(now_of(row()))
    alarm(desk)
    at = press(shown("alerts.py"), "have_")
    at.text_input[0].set_value(" rolling it ")
    at.text_input[1].set_value("anna")
    send = next(one for one in at.button if str(one.key).startswith("send_"))
    at = send.click().run()
    at = send.click().run()  # a second click that was on its way
    assert not at.exception
    assert [(one.kind, dict(one.body), one.author) for one in desk.asked] == [
        (Kind.ACKNOWLEDGE, {"alert": CUSHION, "note": "rolling it", **SEEN}, "anna")
    ]
    assert "I have it: Margin cushion, IBKR •••4567: Done." in words(at.run())
    assert press(at, "acted_").text_input[1].value == "anna"  # the name is remembered


def test_a_silence_needs_a_reason_and_says_when_it_ends(alarm: Start) -> None:
    desk = Told(now_of(row()))
    alarm(desk)
    at = press(press(shown("alerts.py"), "silence_"), "send_")
    assert desk.asked == []
    assert "Say why" in words(at)
    at.text_input[0].set_value("bad quote")
    at = press(at, "send_")
    assert [dict(one.body) for one in desk.asked] == [
        {"alert": CUSHION, "reason": "bad quote", "until": "2026-11-18T15:45:00+00:00", **SEEN}
    ]


def test_a_silence_can_be_ended(alarm: Start) -> None:
    silence = Silence("ben", minutes(-1), minutes(40), "bad quote")
    desk = Told(now_of(row(state=State.SILENCED, silence=silence)))
    alarm(desk)
    at = shown("alerts.py")
    assert "silenced until 11:10:00 ET by ben (bad quote)" in words(at)
    press(at, "unsilence_")
    assert [(one.kind, dict(one.body)) for one in desk.asked] == [(Kind.UNSILENCE, {"alert": CUSHION})]


def test_what_stood_in_the_dialog_at_the_click_is_what_is_taken(alarm: Start) -> None:
    """The alert gets critical between the drawing of the dialog and the click: the request says BREACH."""
    desk = Told(now_of(row()))
    alarm(desk)
    at = press(shown("alerts.py"), "have_")
    desk.now = now_of(row(severity=Severity.CRITICAL))
    at.text_input[1].set_value("anna")
    next(one for one in at.button if str(one.key).startswith("send_")).click().run()
    assert [one.body["severity"] for one in desk.asked] == ["BREACH"]


def test_a_dialog_of_an_alert_that_is_over_says_so(alarm: Start) -> None:
    desk = Told(now_of(row()))
    alarm(desk)
    at = shown("alerts.py")
    desk.now = now_of(row())
    at = press(at, "have_")
    desk.now = now_of()
    at = at.run()
    assert "It is over meanwhile" in words(at)
    assert desk.asked == []


def test_a_channel_is_tested_once_while_no_answer_has_come(alarm: Start) -> None:
    desk = Told(now_of(), said=None)
    alarm(desk)
    at = shown("alerts.py")
    key = f"test_{short('slack')}"
    test = at.button(key=key)
    at = test.click().run()
    assert at.button(key=key).disabled
    at = test.click().run()  # a second click that was on its way
    assert [(one.kind, dict(one.body)) for one in desk.asked] == [(Kind.TEST_CHANNEL, {"channel": "slack"})]
    assert "Test: asked this program 0 s ago …" in words(at)
    desk.said = Said.REFUSED
    assert "Test: not done: Done." in words(at.run())


def test_without_a_channel_that_reaches_somebody_the_page_says_what_to_set(alarm: Start) -> None:
    alarm(Told(now_of(channels=[LOG])))
    said = words(shown("alerts.py"))
    assert "Nobody is reached: no channel is configured but the log." in said
    assert "SLACK_WEBHOOK_URL" in said


def test_without_alerts_the_page_is_not_calm_and_offers_nothing(alarm: Start) -> None:
    alarm(None)
    at = shown("alerts.py")
    said = words(at)
    assert "No alerts are made" in said
    assert "What is open is not known" in said
    assert "No alert is open" not in said
    assert "Send test" not in labels(at)


def test_what_was_last_heard_of_is_not_shown_as_of_now(alarm: Start) -> None:
    desk = Told(now_of(as_of=minutes(-2)))
    alarm(desk)
    said = words(shown("alerts.py"))
    assert "Nothing is heard of the alerts since 10:28:00 ET (2 min)" in said
    assert "No alert is open" not in said
    desk.now = now_of(row(), as_of=minutes(-2))
    assert "As they were when alerts were last heard of" in words(shown("alerts.py"))


def test_a_thousand_alerts_are_drawn_in_short(alarm: Start) -> None:
    alarm(Told(now_of(*(row(f"gamma underlying:Q{i}") for i in range(1000)))))
    at = shown("alerts.py")
    assert labels(at).count("I have it") == 10
    assert "Show 10 more of 990" in labels(at)
    at = press(at, "alerts_more")
    assert labels(at).count("I have it") == 20


def told_before(database: Database) -> None:
    """An alert that was taken and is over, and a message that one channel never took."""
    key = book_of(("test",))
    events = [
        alerted.fired("vega", -3600),
        alerted.acknowledged("vega", -3000, -3600),
        alerted.resolved("vega", -1200, -3600),
    ]
    sent = [
        alerted.delivery("m1", "slack", -3599, state=DeliveryState.WAITING),
        replace(alerted.delivery("m1", "slack", -3599), state=DeliveryState.SENT, attempts=1, detail="ok"),
        alerted.delivery("m1", "phone", -3599),
        replace(alerted.delivery("m1", "phone", -3599), state=DeliveryState.DEAD, attempts=9, detail="410 gone"),
    ]
    with database.writing(durable=False) as connection:
        insert_proven(connection, alert_news(key, events, sent, Numbers("0" * 16)).rows)


def test_what_was_told_before_is_read_once_and_what_was_given_up_can_be_sent_again(
    alarm: Start, database: Database
) -> None:
    told_before(database)
    desk = Told(now_of())
    alarm(desk, database)
    at = shown("alerts.py")
    said = words(at)
    assert "Given up: 1 message that did not arrive" in said
    assert "410 gone" in said
    tables = [frame.value for frame in at.dataframe]
    assert [list(table["State"]) for table in tables[:2]] == [
        ["resolved", "acknowledged", "fired"], ["✖ given up", "✓ sent"]
    ]  # fmt: skip
    assert list(tables[2].iloc[0]) == ["Vega", 1, 1, 1, 0, 10.0]
    assert len(at.get("plotly_chart")) == 1
    with queries() as asked:
        at = press(at, "again_")
    assert asked == []
    assert [(one.kind, dict(one.body)) for one in desk.asked] == [(Kind.SEND_AGAIN, {"delivery": "m1 phone"})]
    with queries() as asked:
        at = press(at, "alerts_refresh")
    assert asked != []


def test_of_a_past_moment_the_page_shows_the_timeline_and_no_button(alarm: Start, database: Database) -> None:
    told_before(database)
    alarm(Told(now_of(row())), database)
    at = look_at(shown("alerts.py"), datetime(2026, 11, 18, 9, 40)).switch_page("alerts.py").run()  # noqa: DTZ001  # New York clocks
    said = words(at)
    assert "alerts of a past moment are in the timeline" in said
    assert not {"I have it", "Send test", "Send again"} & set(labels(at))
    assert "Given up: 1 message" in said
