"""Products: multipliers against the exchange's own tick values, roots, codes and groups."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from guardrails.instruments import Instrument, Kind, Settlement
from guardrails.products import (
    BROAD_INDEX_GROUPS,
    FUTURES,
    INDEX_ROOTS,
    SP500,
    VOLATILITY_GROUP,
    future_multiplier,
    group_of,
    is_american,
    option_code,
    product_root,
    standard_multiplier,
)
from guardrails.symbols import occ, parse, tastytrade

SPECS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "futures_specs.csv"


@pytest.mark.parametrize(
    ("root", "dollars_per_tick"),
    [  # CME, CBOT, NYMEX, COMEX and CFE contract specifications
        ("/ES", 12.50), ("/MES", 1.25), ("/NQ", 5.00), ("/MNQ", 0.50), ("/YM", 5.00), ("/RTY", 5.00), ("/CL", 10.00),
        ("/NG", 10.00), ("/GC", 10.00), ("/SI", 25.00), ("/SIL", 5.00), ("/HG", 12.50), ("/ZB", 31.25), ("/ZN", 15.625),
        ("/ZT", 7.8125), ("/6E", 6.25), ("/6J", 6.25), ("/ZC", 12.50), ("/ZL", 6.00), ("/LE", 10.00), ("/GF", 12.50),
        ("/VX", 50.00), ("/VXM", 1.00), ("/BTC", 25.00), ("/MBT", 0.50),
    ],
)  # fmt: skip
def test_one_tick_is_worth_what_the_exchange_says(root: str, dollars_per_tick: float) -> None:
    spec = FUTURES[root]
    assert spec.multiplier * spec.tick == pytest.approx(dollars_per_tick)


@pytest.mark.skipif(not SPECS.exists(), reason="../shared/data/futures_specs.csv is not here")
def test_table_agrees_with_the_published_one() -> None:
    with SPECS.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert sorted(FUTURES) == sorted(f"/{row['root']}" for row in rows)
    for row in rows:
        spec = FUTURES[f"/{row['root']}"]
        assert future_multiplier(row["root"], quoted_in_cents=False) == pytest.approx(
            float(row["multiplier_usd_per_1_00_price"])
        )
        assert spec.multiplier * spec.tick == pytest.approx(float(row["tick_value_usd"]))
        assert spec.quoted_in_cents == (row["quoted_in_cents"] == "yes")
        assert spec.exchange == row["exchange"]


def test_corn_at_450_and_a_quarter_cents_is_a_contract_of_22_512_dollars() -> None:
    in_cents, in_dollars = future_multiplier("/ZC"), future_multiplier("ZC", quoted_in_cents=False)
    assert in_cents is not None
    assert in_dollars is not None
    assert in_cents * 450.25 == pytest.approx(22_512.50)
    assert in_dollars * 4.5025 == pytest.approx(22_512.50)


def test_cents_do_not_matter_to_products_quoted_in_dollars() -> None:
    assert future_multiplier("/ES", quoted_in_cents=False) == future_multiplier("ES") == 50.0


@pytest.mark.parametrize("root", ["/XYZ", "", "/", "ESZ26", "SPY"])
def test_unknown_root_has_no_multiplier(root: str) -> None:
    assert future_multiplier(root) is None


@pytest.mark.parametrize(
    ("root", "mic"), [("/ES", "XCME"), ("/ZN", "XCBT"), ("/CL", "XNYM"), ("/GC", "XCEC"), ("/VX", "XCBF")]
)
def test_market_code(root: str, mic: str) -> None:
    assert FUTURES[root].mic == mic


@pytest.mark.parametrize(
    ("group", "members"),
    [
        (SP500, "SPX SPXW XSP SPY /ES /ESZ26 /ESZ6 /MES /MESH27"),
        ("NDX", "NDX NDXP XND QQQ /NQ /NQZ26 /MNQZ26"),
        ("RUT", "RUT RUTW MRUT IWM /RTYZ26 /M2K /M2KH27"),
        ("DJX", "DJX DIA /YMZ26 /MYMZ26"),
        (VOLATILITY_GROUP, "VIX VIXW /VX /VXZ26 /VXMZ26 /VX49Z26 VXX UVXY SVXY VIXY UVIX SVIX"),
        ("/CL", "/CL /CLZ26 /MCLZ26"),
        ("/GC", "/GCZ26 /MGCZ26"),
        ("/SI", "/SIZ26 /SILZ26"),
        ("/6E", "/6EZ26 /M6EZ26"),
        ("/BTC", "/BTCZ26 /MBTZ26"),
        ("OEX", "OEX XEO"),
    ],
)
def test_group_members(group: str, members: str) -> None:
    assert {group_of(member) for member in members.split()} == {group}


@pytest.mark.parametrize("symbol", ["AAPL", "ES", "CL", "GC", "BTC", "NQ", "BRK/B", "BTC/USD", "/ZN", "/XYZ", ""])
def test_everything_else_is_its_own_group(symbol: str) -> None:
    assert group_of(symbol) == symbol


def test_notes_and_bonds_are_not_one_commodity() -> None:
    assert len({group_of(contract) for contract in ("/ZNZ26", "/ZBZ26", "/ZFZ26", "/ZTZ26", "/TNZ26", "/UBZ26")}) == 6


def test_volatility_is_no_broad_index() -> None:
    assert SP500 in BROAD_INDEX_GROUPS
    assert VOLATILITY_GROUP not in BROAD_INDEX_GROUPS


@pytest.mark.parametrize(
    ("root", "underlying", "settlement"),
    [
        ("SPX", "SPX", Settlement.CASH_AM),
        ("SPXW", "SPX", Settlement.CASH_PM),
        ("XSP", "XSP", Settlement.CASH_PM),
        ("NDX", "NDX", Settlement.CASH_AM),
        ("NDXP", "NDX", Settlement.CASH_PM),
        ("RUT", "RUT", Settlement.CASH_AM),
        ("RUTW", "RUT", Settlement.CASH_PM),
        ("VIX", "VIX", Settlement.CASH_AM),
        ("VIXW", "VIX", Settlement.CASH_AM),
        ("OEX", "OEX", Settlement.CASH_PM),
    ],
)
def test_index_root(root: str, underlying: str, settlement: Settlement) -> None:
    assert (INDEX_ROOTS[root].underlying, INDEX_ROOTS[root].settlement) == (underlying, settlement)


@pytest.mark.parametrize(
    ("codes", "root"),
    [
        ("ES EW EW1 EW4 E1A E5A E2C E3D EYC", "/ES"),
        ("MES EX EX1 EX4 X1A X5D", "/MES"),
        ("NQ QNE QN1 QN4 Q1A Q5D", "/NQ"),
        ("MNQ MQE MQ1 D1A D4A D5D", "/MNQ"),
        ("OG OG1 OG5 G1M G4M G5R", "/GC"),
        ("SO SO1 M1S S2T W3S R4S", "/SI"),
        ("LO LO1 ML1 NL2 WL3 XL4", "/CL"),
        ("ON ON1 LN", "/NG"),
        ("OZN ZN1 ZN5 VY2 GY2 WY2 HY2", "/ZN"),
        ("OZB ZB1 VB1 WB5", "/ZB"),
        ("OZF WF1", "/ZF"),
        ("OZT HT1", "/ZT"),
        ("EUU WE1", "/6E"),
        ("OZC", "/ZC"),
        ("OZS", "/ZS"),
        ("OZW", "/ZW"),
    ],
)
def test_option_codes(codes: str, root: str) -> None:
    for code in codes.split():
        known = option_code(code)
        assert known is not None
        assert known.root == root, code


@pytest.mark.parametrize("code", ["", "EW5", "E6A", "E1E", "QN5", "LO6", "ZZZ", "SPX", "EW44"])
def test_unknown_option_code_is_none(code: str) -> None:
    assert option_code(code) is None


def test_settlement_of_option_codes() -> None:
    assert [option_code(code).settlement for code in ("ES", "EW4", "E1A", "OG", "LN")] == [  # type: ignore[union-attr]
        Settlement.CASH_AM, Settlement.PHYSICAL, Settlement.PHYSICAL, Settlement.PHYSICAL, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "american"),
    [
        ("AAPL  261218C00150000", True),
        ("SPXW  261218C06000000", False),
        ("OEX   261218C03000000", True),
        ("SOX   261218C06000000", None),
        ("AAPL", None),
    ],
)
def test_exercise_style_of_listed_options(symbol: str, american: object) -> None:
    parse = occ.parse if len(symbol) > 15 else lambda text: tastytrade.parse(text, "Equity", date(2026, 11, 20))
    assert is_american(parse(symbol)) is american


@pytest.mark.parametrize(
    ("symbol", "american"),
    [
        ("./ESZ6 ESZ6  261218C6000", True),
        ("./ESZ6 EW4X6 261127C6000", False),
        ("./GCZ6 OGZ6  261124C2755", True),
        ("./NGZ6 LNZ6  261124C4", None),
        ("./KCZ6 KCZ6  261113C300", None),
    ],
)
def test_exercise_style_of_future_options_is_ours_not_the_brokers(symbol: str, american: object) -> None:
    assert is_american(tastytrade.parse(symbol, "Future Option", date(2026, 11, 20))) is american


@pytest.mark.parametrize(
    ("symbol", "root"),
    [("/ESZ26", "/ES"), ("/ESZ6", "/ES"), ("/ES", "/ES"), ("/M2K", "/M2K"), ("/6EZ26", "/6E"), ("ESZ26", "ESZ26")],
)
def test_product_root(symbol: str, root: str) -> None:
    assert product_root(symbol) == root


@pytest.mark.parametrize(
    ("symbol", "multiplier"),
    [
        ("SPY", 1.0), ("SPY   261218C00600000", 100.0), ("SPXW  261218P05700000", 100.0), ("/ESZ26", 50.0),
        ("./EW4N26 260724C6400", 50.0), ("/ZCZ26", None),
    ],
)  # fmt: skip
def test_what_a_contract_is_worth_per_point_where_no_record_says(symbol: str, multiplier: float | None) -> None:
    assert standard_multiplier(parse(symbol, date(2026, 7, 1))) == multiplier


def test_a_changed_deliverable_and_an_index_abroad_have_no_multiplier_of_their_own() -> None:
    option = parse("SPY   261218C00600000", date(2026, 7, 1))
    assert standard_multiplier(replace(option, adjusted=True)) is None
    index = Instrument(Kind.INDEX_OPTION, "OESX  261218C05000000", "ESTX50", "OESX")
    assert standard_multiplier(index) is None  # ten euros at Eurex
