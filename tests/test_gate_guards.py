"""Every guard by itself: a case that it alone refuses, so that taking it away lets through what must not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guardrails import checks
from guardrails.findings import Level
from guardrails.gate import approval, kinds, measures, package_price
from guardrails.gate import case as case_module
from guardrails.gate import simulate as gate
from guardrails.gate import verdict as verdict_module
from guardrails.gate.case import Project, case_of, margin_of
from guardrails.gate.ground import Ground
from guardrails.gate.guard import Guard
from guardrails.gate.guards import GUARDS, objections
from guardrails.gate.kinds import exit_of
from guardrails.gate.measures import WEIGHTS, Weight
from guardrails.gate.projection import Projected, project
from guardrails.gate.simulate import simulate
from guardrails.gate.values import OrderKind, Verdict
from guardrails.gate.verdict import Judgement, judged
from guardrails.matrix.limits import DteAlarm, ShortOptionDte
from guardrails.orders import Order, OrderState, Preview
from guardrails.portfolio import AccountHistory
from guardrails.safety import Safety, SafetyState
from guardrails.values import Observed, Restriction
from tests.books import IBKR, NOW, TASTY, account, option
from tests.gates import answer, ground, limited, order, quoted, record, resting, with_quotes
from tests.stressed import stress_limits

P5700, P5600 = "SPXW  261218P05700000", "SPXW  261218P05600000"
MARKET = with_quotes(quoted(), **{P5700: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20")})
SELL = order((P5700, -1), limit=-9.5)
HELD = option(P5600, -1, "-0.18 0.0008 4 -1.2 0.21", bid=9.0, ask=9.4, mark=9.2, quote_time=NOW, mark_time=NOW)
BLIND = option("SPXW  261218P05500000", -1)
"""held without Greeks and price: every sum it is in is unknown"""


@dataclass(frozen=True)
class Setup:
    """An order, what it is judged on, and the broker's answer."""

    ground: Ground
    order: Order = SELL
    preview: Preview | None = field(default_factory=answer)
    by: Project = project

    def verdict(self, guards: tuple[Guard, ...] = GUARDS) -> Judgement:
        """What the gate says with these guards."""
        test = exit_of(self.order, self.ground)
        case = case_of(self.order, self.ground, margin_of(self.preview, "test"), by=self.by)
        return judged(case, test, guards)


def clean(*positions: Any, **more: Any) -> Setup:
    """A put sold on a book without limits: nothing speaks against it."""
    own = {name: more.pop(name) for name in ("order", "preview", "by") if name in more}
    return Setup(ground(*positions, **{"at": MARKET, **more}), **own)


def _raising(*_: Any, **__: Any) -> Projected:
    raise ZeroDivisionError


def _closed() -> Setup:
    saturday = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
    at = replace(
        MARKET, prices=quoted(saturday).prices, quotes={k: replace(q, time=saturday) for k, q in MARKET.quotes.items()}
    )
    return clean(at=at, now=saturday)


def _expired() -> Setup:
    """An AM-settled put after its last trade on Thursday evening, in a market that says it is open."""
    late, key = datetime(2026, 11, 19, 21, 20, tzinfo=UTC), "SPX   261120P05700000"
    at = with_quotes(quoted(late), **{key: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20")})
    at = replace(at, open=True, quotes={k: replace(q, time=late) for k, q in at.quotes.items()})
    return clean(at=at, now=late, order=order((key, -1), limit=-9.5))


def _fallen() -> dict[Any, AccountHistory]:
    begun = NOW - timedelta(hours=1)
    return {IBKR: AccountHistory(begun, peak=Observed(200_000.0, begun, "test"), last=Observed(1e5, begun, "test"))}


def _inverted() -> Setup:
    return clean(limits=replace(limited(), overlay=True, overlay_reason="VIX/VIX3M 1.1"))


def _unpriced() -> Setup:
    key = "XYZ   261218P00100000"
    at = with_quotes(MARKET, **{key: (1.0, 1.1, "-0.25 0.01 0.1 -0.1 0.20")})
    return clean(at=at, order=order((key, -1), limit=-1.0))


def _stale() -> Setup:
    old = {key: replace(quote, time=NOW - timedelta(seconds=61)) for key, quote in MARKET.quotes.items()}
    return clean(at=replace(MARKET, quotes=old))


def _unread() -> Setup:
    return clean(working=(resting((P5600, 1), legs=(), unread="a contract of an unknown kind"),))


BLOCKS: dict[str, Callable[[], Setup]] = {
    "stopped": lambda: clean(safety=Safety(SafetyState.STOPPED)),
    "safety_state": lambda: clean(safety=Safety(SafetyState.NO_NEW_RISK)),
    "failed": lambda: clean(by=_raising),
    "restriction": lambda: clean(accounts=[account(restrictions=(Restriction.CLOSING_ONLY,))]),
    "orders_unknown": lambda: clean(orders_unknown="tastytrade does not answer"),
    "unreconciled": lambda: clean(doubtful=("SELL 1 SPXW (k-1)",)),
    "book_gaps": lambda: clean(gaps=("IBKR is silent",)),
    "positions_differ": lambda: clean(confirmed={IBKR: {"equity:SPY": 1.0}}),
    "regime_unknown": lambda: clean(limits=replace(limited(), regime_known=False)),
    "daily_loss": lambda: clean(limits=limited(max_daily_loss_pct=0.03)),  # no start of the session is known
    "drawdown": lambda: clean(limits=limited(max_drawdown_pct=0.1), history=_fallen()),
    "throttle": lambda: clean(
        limits=limited({"most_a_minute": 1}), sent=(record(order((P5600, -1), limit=-9.0), state=OrderState.FILLED),)
    ),
    "expired_leg": _expired,
    "leg_unknown": _unpriced,
    "no_quote": lambda: clean(
        HELD, at=replace(MARKET, quotes={}, greeks={}), order=order(("SPXW  261218P05590000", -1), limit=-9.0)
    ),
    "quote_stale": _stale,
    "price_absurd": lambda: clean(order=order((P5700, 1), limit=-1.0)),
    "price_collar": lambda: clean(order=order((P5700, -1), limit=-8.0)),
    "order_size": lambda: clean(limits=limited({"max_contracts": 1}), order=order((P5700, -1), quantity=2, limit=-9.5)),
    "order_notional": lambda: clean(limits=limited({"max_notional_pct_nlv": 5.9})),  # 600,000 of 100,000
    "duplicate": lambda: clean(sent=(record(SELL, state=OrderState.FILLED),)),
    "market_hours": _closed,
    "overlay": _inverted,
    "margin_unknown": lambda: clean(preview=None),
    "excess_gone": lambda: clean(preview=answer(excess=0.0)),
    "limit_newly_breached": lambda: clean(limits=limited(max_negative_vega=-499.0)),  # 5 x 100 at 30 days
    "limit_worsened": lambda: clean(HELD, limits=limited(max_negative_vega=-399.0)),
    "limit_unknown": lambda: clean(BLIND, limits=limited(max_negative_vega=-1e6)),
}
"""by guard: a case that it alone refuses"""


WARNS: dict[str, Callable[[], Setup]] = {
    "limit_near": lambda: clean(limits=limited(max_negative_vega=-550.0)),
    "share_unknown": lambda: clean(limits=limited(max_single_underlying_vega_pct=0.9), by=_sharing),
}
"""by guard: a case that it alone makes a warning"""


def _sharing(*args: Any, **more: Any) -> Projected:
    """The real projection, whose shares of vega are not known with the order."""
    found = project(*args, **more)
    unknown = [replace(f, level=Level.UNKNOWN) if f.check == "vega_concentration" else f for f in found.findings]
    return replace(found, findings=tuple(unknown))


def test_a_put_is_sold_on_a_book_without_limits() -> None:
    assert clean().verdict() == Judgement(OrderKind.NEW_RISK, Verdict.ALLOW, (), "the worst stress loss is not known")


def test_every_guard_of_the_code_has_its_case() -> None:
    assert {guard.name for guard in GUARDS} == {*BLOCKS, *WARNS}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_guard_alone_refuses_its_case_and_without_it_the_case_passes(name: str) -> None:
    setup = BLOCKS[name]()
    found = setup.verdict()
    assert [one.code for one in found.reasons if one.verdict is Verdict.BLOCK] == [name]
    assert found.verdict is Verdict.BLOCK
    without = setup.verdict(tuple(guard for guard in GUARDS if guard.name != name))
    assert without.verdict is not Verdict.BLOCK


@pytest.mark.parametrize("name", WARNS)
def test_a_guard_that_warns_does_so_alone(name: str) -> None:
    setup = WARNS[name]()
    assert {one.code for one in setup.verdict().reasons} == {name}
    assert setup.verdict().verdict is Verdict.WARN
    assert setup.verdict(tuple(guard for guard in GUARDS if guard.name != name)).verdict is Verdict.ALLOW


def _cushion(*_: Any) -> Setup:
    """Cushion 0.5 now, 0.1 with the order, at least 0.2."""
    return clean(limits=limited(min_cushion=0.2, watch_cushion=0.3), preview=answer(excess=10_000.0, takes=40_000.0))


def _stress(**keys: Any) -> Setup:
    return clean(limits=limited(stress=stress_limits(**keys).keys.stress))


def _dte(days: int) -> Any:
    alarm = DteAlarm(watch=days, breach=days)
    return ShortOptionDte(physical=alarm, cash_am=alarm, cash_pm=alarm)


def _near_expiry() -> Setup:
    key = "SPXW  261123P05700000"
    at = with_quotes(MARKET, **{key: (9.5, 10.5, "-0.25 0.0010 5 -1.5 0.20")})
    return clean(at=at, limits=limited(max_near_expiry_gamma=35_000.0), order=order((key, -1), limit=-9.5))


HARD_CASES: dict[str, Callable[[], Setup]] = {
    "margin_cushion": _cushion,
    "short_option_expiry": lambda: clean(limits=limited(short_option_dte=_dte(30))),
    "stress_excess": lambda: replace(
        _stress(ladder=(), after=(-0.10,)), preview=answer(excess=1_000.0, takes=49_000.0)
    ),
    "stress_ladder": lambda: _stress(ladder=((-0.20, 0.05),), after=()),
    "stress_scenarios": lambda: _stress(ladder=(), after=(), march_2020=0.05),
    "beta_delta": lambda: clean(limits=limited(max_beta_delta=24.0)),  # 0.25 x 100 = 25 units of SPX
    "short_vega": lambda: clean(limits=limited(max_negative_vega=-499.0)),
    "gamma": lambda: clean(limits=limited(max_gamma=35_000.0)),  # 0.001 x 100 x 6000^2 x 0.01 = 36,000
    "near_expiry_gamma": _near_expiry,
    "position_contracts": lambda: clean(limits=limited(max_position_contracts=0)),
    "position_notional": lambda: clean(limits=limited(max_position_notional_pct_nlv=5.9)),
}
"""by hard measure: a new-risk order that only its limit refuses"""


def test_every_hard_measure_of_the_code_has_its_case() -> None:
    assert set(HARD_CASES) == {check for check, weight in WEIGHTS.items() if weight is Weight.HARD}


@pytest.mark.parametrize("check", HARD_CASES)
def test_a_hard_measure_alone_refuses_its_case(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = HARD_CASES[check]()
    found = setup.verdict()
    assert {one.check for one in found.reasons if one.verdict is Verdict.BLOCK} == {check}
    monkeypatch.setattr(measures, "WEIGHTS", {**WEIGHTS, check: Weight.DATA})
    assert setup.verdict().verdict is not Verdict.BLOCK


def test_the_table_of_weights_names_every_check() -> None:
    assert set(WEIGHTS) == set(checks.CHECK_NAMES)


def test_a_check_that_the_table_does_not_name_counts_as_hard() -> None:
    assert measures.weight_of("something_new") is Weight.HARD


def test_a_guard_that_cannot_be_computed_refuses_new_risk_and_lets_an_exit_pass() -> None:
    def broken(_: object) -> list[Any]:
        raise KeyError("x")

    guards = (*GUARDS, Guard(broken, exits=Verdict.WARN))
    found = clean().verdict(guards)
    assert [(one.code, one.verdict) for one in found.reasons] == [("broken", Verdict.BLOCK)]
    closing = clean(HELD, order=order((P5600, 1), limit=9.4)).verdict(guards)
    assert (closing.kind, closing.verdict) == (OrderKind.EXIT, Verdict.WARN)


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in ("stopped", "failed")])
def test_what_refuses_new_risk_lets_an_exit_pass(name: str) -> None:
    """The same trouble, and a short that is bought back in the middle of it."""
    setup = BLOCKS[name]()
    base = setup.ground
    bad = replace(base, confirmed={IBKR: {HELD.instrument.key: -1.0}}) if base.confirmed else base
    held = (
        replace(bad.portfolio, positions=(*bad.portfolio.positions, HELD))
        if HELD not in bad.portfolio.positions
        else bad.portfolio
    )
    on = replace(bad, prepared=replace(bad.prepared, portfolio=held))
    closing = order((P5600, 1), limit=99.0)
    case = case_of(closing, on, margin_of(None, ""), by=_raising)
    found = judged(case, exit_of(closing, on))
    assert found.kind is OrderKind.EXIT
    assert found.verdict is not Verdict.BLOCK


def test_an_exit_passes_although_nothing_can_be_computed() -> None:
    found = simulate(order((P5600, 1), limit=9.4), clean(HELD).ground, None, "", by=_raising)
    assert (found.kind, found.verdict) == (OrderKind.EXIT, Verdict.WARN)
    assert [one.code for one in found.reasons] == ["failed"]


def test_of_an_exit_only_what_concerns_it_is_told() -> None:
    case = case_of(order((P5600, 1), limit=9.4), clean(HELD).ground, margin_of(None, ""))
    assert objections(case, OrderKind.EXIT) == ()
    assert [one.code for one in objections(case, OrderKind.NEW_RISK)] == ["margin_unknown"]


def test_an_unset_double_of_the_broker_is_no_margin() -> None:
    told = answer()
    unset = replace(told, initial_margin=replace(told.initial_margin, after=1.7976931348623157e308))
    assert margin_of(unset, "ibkr").unknown
    assert [one.code for one in clean(preview=unset).verdict().reasons] == ["margin_unknown"]


def test_a_margin_without_figures_is_unknown_although_the_broker_gives_no_reason() -> None:
    assert margin_of(Preview(NOW), "ibkr").excess_after is None
    assert margin_of(Preview(NOW), "ibkr").unknown


def test_shares_are_not_refused_for_a_vega_that_nobody_knows() -> None:
    setup = clean(BLIND, limits=limited(max_negative_vega=-1e6, max_gamma=1e9), order=order(("SPY", 1), limit=600.0))
    assert setup.verdict().verdict is Verdict.ALLOW
    delta = clean(BLIND, limits=limited(max_beta_delta=1e6), order=order(("SPY", 1), limit=600.0))
    assert [one.check for one in delta.verdict().reasons] == ["beta_delta"]


def test_a_roll_that_frees_margin_passes_in_a_deficit() -> None:
    roll = order((P5600, 1), (P5700, -1), limit=-0.3)
    freeing = clean(HELD, order=roll, preview=answer(excess=-1_000.0, takes=-4_000.0))
    assert freeing.verdict().verdict is Verdict.ALLOW
    taking = replace(freeing, preview=answer(excess=-1_000.0, takes=1.0))
    assert [one.code for one in taking.verdict().reasons] == ["excess_gone"]


def test_what_another_account_lacks_is_its_own_affair() -> None:
    """The cushion of another account is broken and stays so; its daily loss, once broken, halts all."""
    other = account(TASTY, net_liquidation=100_000.0, excess=1_000.0)
    rules = limited(min_cushion=0.2, watch_cushion=0.3)
    setup = clean(accounts=[account(), other], limits=rules)
    assert setup.verdict().verdict is Verdict.ALLOW
    halted = [replace(f, level=Level.BREACH) for f in setup.ground.prepared.findings]
    daily = replace(halted[0], check="daily_loss", subject=f"account:{TASTY}", advisory=False)
    prepared = replace(setup.ground.prepared, findings=(*setup.ground.prepared.findings, daily))
    lost = replace(setup, ground=replace(setup.ground, prepared=prepared))
    assert [one.code for one in lost.verdict().reasons] == ["daily_loss"]
    unsure = replace(prepared, findings=(*setup.ground.prepared.findings, replace(daily, level=Level.UNKNOWN)))
    assert replace(setup, ground=replace(setup.ground, prepared=unsure)).verdict().verdict is Verdict.ALLOW


def test_volatility_products_never_pay_for_short_vega() -> None:
    """A long VIX call has more vega than the put sold takes; the overlay refuses it all the same."""
    call = "VIX   261216C00020000"
    at = with_quotes(MARKET, **{call: (1.0, 1.1, "0.4 0.05 9 -0.1 0.9")})
    at = replace(at, prices={**at.prices, "VIX": replace(at.prices["SPX"], value=17.0)})
    inverted = replace(limited(), overlay=True)
    both = clean(at=at, limits=inverted, order=order((P5700, -1), (call, 1), limit=-8.0))
    assert "overlay" in {one.code for one in both.verdict().reasons}
    at = with_quotes(at, **{P5600: (8.5, 9.5, "-0.18 0.0008 6 -1.2 0.21")})
    long = clean(at=at, limits=inverted, order=order((P5700, -1), (P5600, 1), limit=-0.1))
    assert long.verdict().verdict is Verdict.ALLOW


def test_a_margin_call_restricts_whether_or_not_it_is_listed() -> None:
    called = clean(accounts=[account(margin_call=True)])
    assert [one.code for one in called.verdict().reasons] == ["restriction"]
    futures = clean(accounts=[account(restrictions=(Restriction.FUTURES_CLOSING_ONLY,))])
    assert futures.verdict().verdict is Verdict.ALLOW
    micro = replace(futures, order=order(("/MESZ26", 1)))
    assert [one.code for one in micro.verdict().reasons] == ["restriction"]


def test_shares_count_by_the_hundred() -> None:
    rules = limited({"max_contracts": 2})
    assert clean(limits=rules, order=order(("SPY", 1), quantity=200, limit=600.0)).verdict().verdict is Verdict.ALLOW
    many = clean(limits=rules, order=order(("SPY", 1), quantity=201, limit=600.0))
    assert [one.code for one in many.verdict().reasons] == ["order_size"]


def test_a_second_click_is_the_same_legs_within_the_seconds_whatever_the_quantity() -> None:
    twice = record(replace(SELL, quantity=3), state=OrderState.FILLED)
    assert [one.code for one in clean(sent=(twice,)).verdict().reasons] == ["duplicate"]
    for other in (
        replace(twice, created=NOW - timedelta(seconds=30)), replace(twice, state=OrderState.CANCELLED),
        replace(twice, order=order((P5700, 1), limit=9.0)), replace(twice, order=replace(SELL, account=TASTY)),
    ):  # fmt: skip
        assert clean(sent=(other,)).verdict().verdict is Verdict.ALLOW


_BROKEN = [
    (kinds, "_exit_of"), (kinds, "resting"), (kinds, "holdings_of"), (package_price, "priced"), (gate, "case_of"),
    (gate, "flags_of"), (gate, "measures_of"), (gate, "_held"), (gate, "title_of"), (gate, "shown"),
    (gate, "judged"), (gate, "margin_of"), (gate, "largest"), (gate, "resting"), (case_module, "resting"),
    (verdict_module, "objections"), (verdict_module, "traced"), (verdict_module, "overridden"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), _BROKEN, ids=lambda one: getattr(one, "__name__", one))
def test_whatever_cannot_be_computed_an_exit_passes_and_a_stop_holds(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    on = ground(option(P5700, -2), at=MARKET)
    close = order((P5700, 1), quantity=2, limit=10.5)
    monkeypatch.setattr(module, name, _raises)
    found = simulate(close, on, answer(), "test")
    assert found.kind is OrderKind.EXIT
    assert found.verdict is not Verdict.BLOCK
    stopped = simulate(close, replace(on, safety=Safety(SafetyState.STOPPED)), answer(), "test")
    assert stopped.verdict is Verdict.BLOCK
    assert approval.basis_of(close, on, found).order is close


@pytest.mark.parametrize(("module", "name"), [
    (package_price, "priced"), (gate, "case_of"), (gate, "judged"), (gate, "margin_of"), (case_module, "resting"),
    (verdict_module, "objections"),
])  # fmt: skip
def test_whatever_it_needs_and_cannot_be_computed_refuses_new_risk(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    monkeypatch.setattr(module, name, _raises)
    assert simulate(SELL, ground(at=MARKET), answer(), "test").verdict is Verdict.BLOCK


def _raises(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("name", [guard.name for guard in GUARDS])
def test_a_guard_that_fails_refuses_new_risk_and_no_exit(name: str) -> None:
    def failing(_: Any) -> Any:
        raise ZeroDivisionError

    failing.__name__ = name
    guards = tuple(replace(one, look=failing) if one.name == name else one for one in GUARDS)
    assert clean().verdict(guards).verdict is Verdict.BLOCK
    close = Setup(ground(option(P5700, -2), at=MARKET), order((P5700, 1), limit=10.5))
    assert close.verdict(guards).verdict is not Verdict.BLOCK


@pytest.mark.parametrize("quote", [(10.5, 9.5), (-1.0, 10.5), (0.0, 0.0)])
def test_a_quote_that_no_market_has_is_none(quote: tuple[float, float]) -> None:
    at = with_quotes(quoted(), **{P5700: (*quote, "-0.25 0.0010 5 -1.5 0.20")})
    found = Setup(ground(at=at), order((P5700, -1), limit=-9.5)).verdict()
    assert "no_quote" in {one.code for one in found.reasons}


def test_a_quote_of_a_time_that_has_not_come_is_not_fresh() -> None:
    late = replace(MARKET.quotes[SELL.legs[0].instrument.key], time=NOW + timedelta(hours=1))
    at = replace(MARKET, quotes={SELL.legs[0].instrument.key: late})
    assert [one.code for one in Setup(ground(at=at)).verdict().reasons] == ["quote_stale"]


def test_the_limit_that_the_collar_tells_to_write_passes_it() -> None:
    # natural of the sale is 9.50 credit, a tenth of the mid of 10.00 is 1.00: 8.50 credit, on ticks of 0.05
    found = Setup(ground(at=MARKET), order((P5700, -1), limit=-7.0)).verdict()
    assert "write -8.50 (8.50 credit) or less" in found.reasons[0].message
    odd = with_quotes(quoted(), **{P5700: (3.30, 3.81, "-0.25 0.0010 5 -1.5 0.20")})  # slack 0.3555: up to -2.9445
    found = Setup(ground(at=odd), order((P5700, -1), limit=-2.0)).verdict()
    assert "write -2.95 (2.95 credit) or less" in found.reasons[0].message
    assert not Setup(ground(at=odd), order((P5700, -1), limit=-2.95)).verdict().reasons
