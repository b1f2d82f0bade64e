"""One cycle as a whole: merging, the market's hours, causes of a breach, the document and its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest

from guardrails.assess import assess
from guardrails.checks import CHECK_NAMES, CHECKS, SUBJECTS
from guardrails.errors import SourceError
from guardrails.findings import Level, worst
from guardrails.intake import accounts_of, gaps_of
from guardrails.memory import Memory
from guardrails.portfolio import merge_markets
from guardrails.snapshot import SCHEMA, from_json, json_schema, to_json
from guardrails.values import Market, Observed, Position, Price, Source, SourceState, View
from tests.books import IBKR, MATRIX, NOW, TASTY, account, day, market, option, stock
from tests.healthy import GENEROUS_MATRIX, closes, edited, healthy, levels

HEALTHY = healthy()


def view(name: str, *positions: Position, **more: object) -> View:
    return replace(View(Source(name, SourceState.LIVE, NOW), (), positions), **more)  # type: ignore[arg-type]  # fields


# --- the same arguments give the same Snapshot ---


def test_it_is_a_pure_function() -> None:
    one, other = HEALTHY.assess(), HEALTHY.assess()
    assert (one.snapshot, one.memory, one.changes) == (other.snapshot, other.memory, other.changes)


def test_the_worst_level_decides_and_comes_first() -> None:
    snapshot = HEALTHY.position("AAPL", multiplier=None).assess().snapshot
    ranks = [finding.level.rank for finding in snapshot.findings]
    assert ranks == sorted(ranks, reverse=True)
    assert snapshot.level is worst(finding.level for finding in snapshot.findings) is Level.UNKNOWN


def test_every_check_speaks_and_names_and_subjects_are_published() -> None:
    findings = HEALTHY.assess().snapshot.findings
    assert {finding.check for finding in findings} == {check.__name__ for check in CHECKS} <= set(CHECK_NAMES)
    forms = {subject.split(":")[0] for subject in SUBJECTS}
    for finding in findings:
        assert finding.subject.split(":")[0] in forms
        assert finding.matrix_version == GENEROUS_MATRIX.version


def test_a_finding_below_ok_says_why_and_what_to_do() -> None:
    broken = HEALTHY.position("AAPL", multiplier=None).account(IBKR, net_liquidation=None)
    poor = HEALTHY.account(IBKR, net_liquidation=480_000.0, margins=(), margin_by_underlying=None)
    large = HEALTHY.add("many", option("SPXW  261118P05800000", -900, "-0.2 0.001 5 -3 0.2"))
    for world in (broken, poor, large, replace(HEALTHY, source=Source("test", SourceState.DOWN, NOW))):
        for finding in world.assess().snapshot.findings:
            assert finding.message.endswith("."), finding
            if finding.level in (Level.UNKNOWN, Level.BREACH):
                assert finding.next_action, finding


# --- merging ---


def test_the_newest_word_on_a_price_counts_whoever_comes_first() -> None:
    old = Market(prices={"AAPL": Price(1.0, NOW - timedelta(seconds=1), "a")})
    new = Market(prices={"AAPL": Price(2.0, NOW, "b")})
    for markets in ((old, new), (new, old)):
        merged = merge_markets([view("x", market=m) for m in markets])
        assert merged.prices["AAPL"].value == 2.0


def test_of_two_closes_of_one_day_the_stricter_counts() -> None:
    one = Market(vix_closes=((day("2026-11-17"), 17.0),), vix3m_closes=((day("2026-11-17"), 19.0),))
    two = Market(vix_closes=((day("2026-11-17"), 21.0),), vix3m_closes=((day("2026-11-17"), 18.0),))
    for markets in ((one, two), (two, one)):
        merged = merge_markets([view("x", market=m) for m in markets])
        assert merged.vix_closes == ((day("2026-11-17"), 21.0),)
        assert merged.vix3m_closes == ((day("2026-11-17"), 18.0),)


def test_of_two_reports_of_an_account_the_one_with_money_then_the_newer() -> None:
    bare, old, new = (
        replace(account(IBKR, value), time=NOW + timedelta(seconds=at))
        for value, at in ((None, 9), (1_000.0, 0), (2_000.0, 5))
    )
    for order in ((bare, old, new), (new, old, bare), (old, bare, new)):
        found = accounts_of([view(str(i), accounts=(one,)) for i, one in enumerate(order)])
        assert [one.net_liquidation for one in found] == [2_000.0]


def test_an_account_that_only_holds_positions_is_one_without_figures() -> None:
    found = accounts_of([view("x", stock("SPY", 1, 600.0, TASTY), accounts=(account(IBKR),))])
    assert [(one.id, one.net_liquidation) for one in found] == [(IBKR, 100_000.0), (TASTY, None)]


def test_one_holding_reported_by_two_sources_is_a_gap() -> None:
    held = stock("SPY", 1, 600.0)
    twice = [view("a", held), view("b", held)]
    apart = [view("a", held), view("b", stock("SPY", 1, 600.0, TASTY))]
    assert any("counted twice" in gap for gap in gaps_of(twice, [], MATRIX.data, NOW, market_open=True))
    assert gaps_of(apart, [], MATRIX.data, NOW, market_open=True) == ()


# --- the market's hours ---

SATURDAY = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)


def test_a_quiet_weekend_is_closed_not_stale() -> None:
    world = replace(HEALTHY, now=SATURDAY, source=Source("test", SourceState.CLOSED, SATURDAY - timedelta(hours=18)))
    found = levels(world.assess().snapshot.findings)
    assert not world.assess().snapshot.market_open
    assert {found[name] for name in ("source_state", "account_data", "beta_delta", "short_vega")} == {Level.OK}


def test_a_market_that_keeps_its_own_hours_is_open() -> None:
    world = replace(HEALTHY, now=SATURDAY).markets(open=True)
    snapshot = world.assess().snapshot
    assert snapshot.market_open
    assert snapshot.next_session_change is None


def test_when_the_market_closes_and_opens() -> None:
    assert HEALTHY.assess().snapshot.next_session_change == datetime(2026, 11, 18, 21, 0, tzinfo=UTC)
    world = replace(HEALTHY, now=SATURDAY)
    assert world.assess().snapshot.next_session_change == datetime(2026, 11, 23, 14, 30, tzinfo=UTC)


# --- the book moved, or the limit moved ---

CALM_THEN_CRISIS = edited({"regimes.crisis_mode.limits.max_position_contracts": 5, "regime.escalate_minutes": 0})


def at_vix(value: float, contracts: float, minutes: float, memory: Memory):
    """The healthy book with `contracts` of a far put, VIX at `value`, `minutes` after NOW."""
    now = NOW + timedelta(minutes=minutes)
    world = replace(HEALTHY, now=now, source=Source("test", SourceState.LIVE, now), matrix=CALM_THEN_CRISIS)
    world = world.markets(vix=Observed(value, now, "test")).add(
        "far", option("SPXW  270319P03000000", contracts, "-0.001 0 0.01 0 0.3")
    )
    return replace(world, memory=memory).assess()


def contracts_of(result) -> dict[str, object]:
    finding = next(f for f in result.snapshot.findings if f.check == "position_contracts")
    return {"level": finding.level, "cause": finding.evidence.get("cause"), "message": finding.message,
            "grace": finding.evidence.get("grace_until")}  # fmt: skip


def test_a_breach_that_only_the_regime_caused_says_so_and_has_a_grace() -> None:
    before = at_vix(17, 10, 0, HEALTHY.memory)
    after = at_vix(31, 10, 1, before.memory)
    assert [change.new for change in after.changes] == ["crisis_mode"]
    found = contracts_of(after)
    assert (found["level"], found["cause"]) == (Level.BREACH, "limit")
    assert "not the book" in str(found["message"])
    changed = datetime.fromisoformat(str(found["grace"])) - timedelta(minutes=60)
    assert changed == after.snapshot.regime.since


def test_a_breach_that_the_old_limits_show_too_is_the_books() -> None:
    before = at_vix(17, 10, 0, HEALTHY.memory)
    assert contracts_of(at_vix(31, 51, 1, before.memory))["cause"] == "book"


def test_without_a_change_no_cause_is_claimed() -> None:
    found = contracts_of(at_vix(17, 51, 0, HEALTHY.memory))
    assert (found["level"], found["cause"]) == (Level.BREACH, None)


# --- the document ---


def test_the_document_survives_the_way_there_and_back() -> None:
    for world in (HEALTHY, HEALTHY.position("AAPL", multiplier=None).account(IBKR, net_liquidation=None)):
        snapshot = world.assess().snapshot
        assert from_json(to_json(snapshot), "x") == snapshot


def test_the_published_schema_is_current() -> None:
    published = (resources.files("guardrails") / "data" / "snapshot.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json_schema(), (
        "write json_schema() to guardrails/data/snapshot.schema.json, and raise SCHEMA when a field was taken away"
    )
    assert json.loads(published)["$id"] == SCHEMA


def test_the_promised_fields_are_in_the_schema() -> None:
    """The surface others build on: names given in the issue."""
    schema = json_schema()

    def fields(name: str) -> set[str]:
        return set(schema["$defs"][name]["properties"])

    assert {"schema", "as_of", "level", "safety_state", "regime", "totals", "accounts", "positions", "findings",
            "sources"} <= set(schema["properties"])  # fmt: skip
    assert {"name", "since", "reason", "vix", "vix3m"} <= fields("RegimeNow")
    assert {"net_liquidation", "delta_dollars", "beta_delta_dollars", "beta_delta_spx", "beta_delta_spy",
            "gamma_1pct_dollars", "vega_per_point", "vega_30d_per_point", "theta_per_day",
            "theta_vega_ratio"} <= fields("Totals")  # fmt: skip
    assert {"account", "broker", "net_liquidation"} <= fields("AccountRow")
    assert {"key", "symbol", "broker", "account", "underlying", "quantity", "multiplier", "mark", "market_value",
            "delta", "gamma", "vega", "theta", "iv", "greeks_source", "greeks_age_seconds", "beta",
            "beta_delta_dollars", "dte", "level", "reasons"} <= fields("PositionRow")  # fmt: skip
    assert {"check", "subject", "level", "value", "limit", "unit", "headroom", "message", "evidence",
            "data_age_seconds", "next_action", "matrix_version"} <= fields("Finding")  # fmt: skip
    assert {"name", "state", "age_seconds", "detail"} <= fields("SourceRow")


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"schema": "guardrails.snapshot/1"}', b"\xff"])
def test_what_is_not_the_document_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match="state\\.json is not"):
        from_json(content, "state.json")


def test_another_schema_is_refused_by_name() -> None:
    other = to_json(HEALTHY.assess().snapshot).replace(b"guardrails.snapshot/1", b"guardrails.snapshot/2", 1)
    with pytest.raises(SourceError, match="snapshot/2"):
        from_json(other, "x")


def test_totals_by_hand() -> None:
    # SPY 100 x 600 + AAPL 25,000 x 1.2 + puts 0.2 and 0.05 of 600,000, 0.2 of 25,000 x 1.2
    totals = HEALTHY.assess().snapshot.totals
    assert totals.beta_delta_dollars == pytest.approx(60_000 + 30_000 + 120_000 + 30_000 + 6_000)
    assert totals.beta_delta_spx == pytest.approx(246_000 / 6_000)
    assert totals.beta_delta_spy == pytest.approx(246_000 / 600)
    assert totals.theta_per_day == pytest.approx(100 + 100 + 10)
    assert totals.vega_per_point == pytest.approx(-400 - 100 - 20)
    assert totals.theta_vega_ratio == pytest.approx(210 / 520)
    assert totals.net_liquidation == 1_000_000


def test_groups_and_buckets_add_up_to_the_totals() -> None:
    snapshot = HEALTHY.assess().snapshot
    for name in ("delta_dollars", "beta_delta_dollars", "gamma_1pct_dollars", "vega_per_point", "theta_per_day"):
        assert sum(getattr(row, name) for row in snapshot.groups) == pytest.approx(getattr(snapshot.totals, name))
    assert {row.name: row.positions for row in snapshot.buckets} == {"0-7": 1, "8-30": 2, "31-60": 0, "60+": 0}
    assert {row.name: row.positions for row in snapshot.groups} == {"SPX": 3, "AAPL": 2}


def test_a_regime_needs_no_source_to_be_cautious() -> None:
    result = assess([], MATRIX, Memory(), NOW)
    assert result.snapshot.regime.name == "high_volatility"
    known = assess([view("x", market=replace(market(), vix_closes=closes(17.0)))], MATRIX, Memory(), NOW)
    assert known.snapshot.regime.name == "neutral_volatility"
