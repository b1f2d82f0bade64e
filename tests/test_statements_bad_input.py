"""Files that are no statement, and statements that were damaged: one clear message, or every row accounted for."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.statements import StatementSource, read_statement
from adapters.statements.decode import MAX_BYTES, display_name
from adapters.statements.reader import read_book
from guardrails.errors import SourceError
from guardrails.values import SourceState
from tests.test_statements_activity import FULL

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "statements"
SAMPLES = sorted(SHARED.iterdir()) if SHARED.exists() else []
NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
POSITIONS = 'accountId="U0000001" currency="USD" assetCategory="STK" reportDate="20261120" levelOfDetail="SUMMARY"'
FLEX = (
    '<FlexQueryResponse><FlexStatements>\n<FlexStatement accountId="U0000001" toDate="20261120">\n<OpenPositions>\n'
    + "".join(
        f'<OpenPosition {POSITIONS} symbol="{symbol}" position="10" markPrice="5" positionValue="50" />\n'
        for symbol in "ABCDE"
    )
    + "</OpenPositions>\n</FlexStatement>\n</FlexStatements></FlexQueryResponse>\n"
)
ACTIVITY = (
    'Statement,Data,Period,"November 20, 2026"\n'
    "Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Mult,Close Price,Value\n"
    + "".join(f"Open Positions,Data,Summary,Stocks,USD,{symbol},10,1,5,50\n" for symbol in "ABCDE")
)
JSON = (
    '{"data": {"items": [\n'
    + ",\n".join(
        f'{{"account-number": "5WT00001", "symbol": "{symbol}", "instrument-type": "Equity", "quantity": "10", '
        '"quantity-direction": "Long", "mark-price": "5", "multiplier": 1}'
        for symbol in "ABCDE"
    )
    + "\n]}}\n"
)
TABLE = "Symbol,Type,Quantity,Mark,Net Liq\n" + "".join(f"{symbol},STOCK,10,5.00,50.00\n" for symbol in "ABCDE")
SOUND = {"flex.xml": FLEX, "activity.csv": ACTIVITY, "positions.json": JSON, "positions.csv": TABLE}


def write(folder: Path, content: str | bytes, name: str = "statement.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_files_have_five_good_rows(tmp_path: Path, name: str) -> None:
    view = read_statement(write(tmp_path, SOUND[name]), NOW)
    assert [held.quantity for held in view.positions] == [10.0] * 5
    assert not any(held.reasons for held in view.positions)
    assert view.source.state is SourceState.FILE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"PK\x03\x04rest", "zip or Excel"),
        (b"%PDF-1.7", "PDF"),
        (bytes(range(256)) * 4, "zero bytes"),
        (b"\x81\x8d\x8f\x90\x9d", "neither UTF-8"),
        (b"\xff\xfe\x00", "neither UTF-8, UTF-16"),
        (b"hello world", "no statement this reads"),
        (b"a,b,c\n1,2,3\n", "no statement this reads"),
        (b"<html><body>Login</body></html>", "web page"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<svg></svg>", "no Flex statement"),
        (b"<FlexQueryResponse></FlexQueryResponse>", "no FlexStatement"),
        (b"<FlexQueryResponse", "breaks off"),
        (b"ClientAccountID,Symbol,Quantity\nU0000001,A,1\n", "choose XML"),
    ],
)
def test_what_is_no_statement_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words) as refused:
        read_statement(write(tmp_path, content), NOW)
    assert "statement.txt" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, FLEX)
    os.truncate(path, 200 * 1024 * 1024)
    with pytest.raises(SourceError, match="200 MiB, more than the 64 MiB"):
        read_statement(path, NOW)
    os.truncate(path, MAX_BYTES)
    with pytest.raises(SourceError, match="zero bytes"):  # read, and found to be padded
        read_statement(path, NOW)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_statement(tmp_path / "absent.xml", NOW)
    with pytest.raises(SourceError, match="is a folder"):
        read_statement(tmp_path, NOW)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("U1234567_20261120.csv", "•••4567_20261120.csv"),
        ("tastytrade_positions_x5WT00001_261120.csv", "tastytrade_positions_•••0001_•••1120.csv"),
        ("positions.xml", "positions.xml"),
        ("activity-2026.csv", "activity-2026.csv"),
    ],
)
def test_account_numbers_in_file_names_are_masked(name: str, shown: str) -> None:
    assert display_name(Path("/home/me") / name) == shown


def test_no_account_number_reaches_a_message(tmp_path: Path) -> None:
    stray = write(tmp_path, JSON.replace("]}}", ',{"account-number": "5WT65432"}, "DU7654321"]}}'))
    for number in ("65432", "7654321"):
        assert number not in repr(read_statement(stray, NOW))
    for name, text in SOUND.items():
        view = read_statement(write(tmp_path, text.replace("U0000001", "U7654321").replace('"10"', '"x"'), name), NOW)
        said = repr(view.source) + repr([held.reasons + held.notes for held in view.positions]) + repr(view.accounts)
        assert "7654321" not in said


RICH = {**SOUND, "rich.csv": FULL, **{path.name: path.read_text() for path in SAMPLES}}


@pytest.mark.parametrize("name", RICH)
def test_damage_raises_nothing_but_a_source_error(tmp_path: Path, name: str) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def damage(data: st.DataObject) -> None:
        content = bytearray(RICH[name].encode())
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(content)))
            length = data.draw(st.integers(0, 30))
            content[start : start + length] = data.draw(
                st.binary(max_size=8) | st.sampled_from([b'"', b",", b"\n", b"<", b"-", b"e9"])
            )
        try:
            view = read_statement(write(tmp_path, bytes(content), name), NOW)
        except SourceError:
            return
        for held in view.positions:
            assert held.quantity is not None or held.reasons
            assert held.multiplier is not None or held.reasons

    damage()


@pytest.mark.parametrize("name", SOUND)
def test_one_damaged_cell_never_loses_another_row(tmp_path: Path, name: str) -> None:
    """Whatever replaces the quantity of one row, the other four stay good and the row itself is somewhere."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.text(
            alphabet=st.characters(
                exclude_characters='"<>&,{}[]\\\r\n', codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]
            ),
            max_size=8,
        )
    )
    def replace_quantity(cell: str) -> None:
        book = read_book(write(tmp_path, SOUND[name].replace("10", cell, 1), name), NOW)
        assert sum(1 for held in book.positions if held.quantity == 10 and not held.reasons) >= 4
        assert len(book.positions) + len(book.left_out) == 5

    if name != "flex.xml":  # its first 10 would be elsewhere
        replace_quantity()


@pytest.mark.parametrize("name", ["flex.xml", "activity.csv", "positions.json"])
def test_a_cut_never_loses_what_stands_before_it(tmp_path: Path, name: str) -> None:
    """Complete rows before the cut are kept; where the format shows the cut, the book is UNKNOWN."""
    text = SOUND[name]
    for cut in range(0, len(text), 7):
        try:
            view = read_statement(write(tmp_path, text[:cut], name), NOW)
        except SourceError:
            continue
        ends = {"flex.xml": "/>\n", "activity.csv": ",50\n", "positions.json": "}"}
        good = [held for held in view.positions if not held.reasons]
        assert len(good) >= min(text[:cut].count(ends[name]), 5)
        if name != "activity.csv" and text[:cut].strip() != text.strip():
            assert any("breaks off" in reason for held in view.positions for reason in held.reasons)


def test_the_source_reads_again_only_when_something_changed(tmp_path: Path) -> None:
    path = write(tmp_path, TABLE, "positions.csv")
    prices = write(tmp_path, "symbol,price\nA,7\n", "prices.csv")
    source = StatementSource(path, prices)
    first = asyncio.run(source.view(NOW))
    assert first.source.name == source.name == "statement:positions.csv"
    assert first.positions[0].mark == 7.0
    assert any("no column time" in line for line in first.source.exclusions)
    assert asyncio.run(source.view(NOW)) == first
    write(tmp_path, TABLE.replace("A,STOCK,10", "A,STOCK,11").replace("50.00", "55.00", 1), "positions.csv")
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    assert asyncio.run(source.view(NOW)).positions[0].quantity == 11.0
    path.unlink()
    with pytest.raises(SourceError):
        asyncio.run(source.view(NOW))
    asyncio.run(source.close())
