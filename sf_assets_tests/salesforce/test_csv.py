"""Result pages: every cell comes out as it went in, or the page is broken."""

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sf_assets.errors import PageBrokenError
from sf_assets.salesforce.csv import BLOCKS, RecordTooLongError, read_csv
from sf_assets.salesforce.response_stream import ResponseStream
from sf_assets_tests.salesforce.pages import answer, page, served

Rows = list[list[str]]

_MARK = "\ufeff".encode()

NASTY = [
    "", " ", "NA", "N/A", "null", "NULL", "None", "nan", "NaN", "#N/A", "true", "0.0", "1.5E7", "-",
    "line\nbreak", "line\r\nbreak", "old\rmac", 'a "quoted" word', '"', '""', ",", ';"\n",', "\x00",
    "a\x00b", "U+2028\u2028here", "\u2029", "\x85", "\x0b\x0c\x1c\x1e", "é", "日本語",
    "👩\u200d👧", "\ufeff",
    "=1+1", "\\", '\\"', "'", "\t", " padded ", "2026-01-31T10:00:00.000Z",
]  # fmt: skip

cells = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
spellings: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str.upper, str.lower, str])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], Rows]:
    """Field names, and rows of texts."""
    width = draw(st.integers(1, 5))
    fields = [f"Field{n}__c" for n in range(width)]
    return fields, draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=12))


def written(
    header: Sequence[str], rows: Rows, quoting: int = csv.QUOTE_ALL, end: str = "\n"
) -> bytes:
    """A page as Salesforce writes it: everything quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def parsed(
    data: bytes,
    fields: Sequence[str],
    *,
    block: int = BLOCKS[0],
    drip: int = 1 << 30,
    zipped: bool = False,
) -> list[list[str | None]]:
    """Rows of a page, fetched again with a larger block as long as a record does not fit."""
    while True:
        try:
            batches = list(read_csv(page(data, zipped=zipped, drip=drip), fields, fields, block))
        except RecordTooLongError:
            block *= 4
        else:
            break
    for batch in batches:
        batch.validate(full=True)
        assert batch.schema.types == [pa.string()] * len(fields)
    table = pa.Table.from_batches(batches, pa.schema([(name, pa.string()) for name in fields]))
    return [list(row.values()) for row in table.to_pylist()]


def only_empty_is_null(rows: Rows) -> list[list[str | None]]:
    return [[cell or None for cell in row] for row in rows]


@given(
    tables(),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.fixed_dictionaries(
        {
            "block": st.sampled_from([16, 100, BLOCKS[0]]),
            "drip": st.integers(1, 40),
            "zipped": st.booleans(),
        }
    ),
)
@settings(max_examples=250)
def test_every_cell_is_what_pythons_csv_module_reads_and_only_the_empty_one_is_null(
    table: tuple[list[str], Rows], quoting: int, end: str, how: dict[str, Any]
) -> None:
    fields, rows = table
    data = written(fields, rows, quoting, end)
    header, *expected = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    # The writer does not quote a lone \r, and Arrow takes a \ufeff that nothing quotes for a mark.
    assume((header, expected) == (fields, rows) and not data.partition(b"\n")[2].startswith(_MARK))
    assert parsed(data, fields, **how) == only_empty_is_null(rows)


@given(tables(), st.integers(1, 40), st.data())
def test_columns_are_found_by_name_whatever_their_order_and_case(
    table: tuple[list[str], Rows], drip: int, data: st.DataObject
) -> None:
    fields, rows = table
    order = data.draw(st.permutations(range(len(fields))))
    header = [data.draw(spellings)(fields[n]) for n in order]
    shuffled = [[row[n] for n in order] for row in rows]
    assert parsed(written(header, shuffled), fields, drip=drip) == only_empty_is_null(rows)


def test_columns_get_the_names_they_are_kept_by() -> None:
    body = page(b'"Owner.Name","Id"\n"Ann","1"\n')
    (batch,) = read_csv(body, ["Id", "Owner.Name"], ["Id", "Owner_Name"])
    assert batch.to_pylist() == [{"Id": "1", "Owner_Name": "Ann"}]


def test_the_longest_texts_of_salesforce_arrive_whole() -> None:
    longest = ("Zwölf Boxkämpfer\r\n" * 10_000)[:131_072]
    rows = [[str(n), longest[n:], "😀" * 65_536, '"' * 131_072] for n in range(30)]
    fields = ["Id", "A", "B", "C"]
    assert parsed(written(fields, rows), fields) == rows


def test_a_record_longer_than_the_block_asks_for_a_larger_one() -> None:
    data = written(["Id", "Text"], [["1", "x" * 5000]])
    with pytest.raises(RecordTooLongError):
        list(read_csv(page(data), ["Id", "Text"], ["Id", "Text"], 1000))
    assert parsed(data, ["Id", "Text"]) == [["1", "x" * 5000]]


@given(st.integers(1, 64))
def test_characters_of_several_bytes_survive_every_edge_between_chunks(drip: int) -> None:
    rows = [["é日😀" * 40, "ü" * n] for n in range(1, 9)]
    assert parsed(written(["A", "B"], rows), ["A", "B"], block=600, drip=drip) == rows


@given(
    st.lists(st.text(st.sampled_from('\r\n",a'), max_size=20), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(10, 60),
)
@settings(max_examples=200)
def test_line_breaks_in_values_survive_every_edge_between_blocks(
    texts: list[str], end: str, block: int
) -> None:
    rows = [[str(n), text] for n, text in enumerate(texts)]
    data = written(["Id", "Text"], rows, end=end)
    assert parsed(data, ["Id", "Text"], block=block) == only_empty_is_null(rows)


@pytest.mark.parametrize(
    "data", [b"", b'"Id","Name"\n', b'"Id","Name"\r\n', b'"Id","Name"', b"Id,Name\n"]
)
def test_a_page_without_rows_is_no_rows_with_or_without_a_header(data: bytes) -> None:
    assert parsed(data, ["Id", "Name"]) == []
    assert parsed(data, ["Id", "Name"], zipped=True) == []


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert parsed(b'\xef\xbb\xbf"Id","Name"\n"1","a"\n', ["Id", "Name"]) == [["1", "a"]]


def test_a_last_row_without_its_line_ending_counts() -> None:
    assert parsed(b'"Id","Name"\n"1","a"', ["Id", "Name"]) == [["1", "a"]]


@pytest.mark.parametrize(
    "data",
    [
        b'"Id"\n"1"\n',
        b'"Id","Name","More"\n"1","a","b"\n',
        b'"Id","Id"\n"1","a"\n',
        b"<html><body>Down for maintenance</body></html>",
        b"<html>\n" * 1000,
        b'[{"message":"x","errorCode":"Y"}]',
        b"\x1f\x8b\x08\x00binary\xff\xfe\n",
        b'"' + b"x" * 200_000 + b'"\n',
        b'"Id","Na\nme"\n',
        b'"Id","Name\n',
        b'"Id","Name"\n"1"\n',
        b'"Id","Name"\n"1","a","b"\n',
        b'"Id","Name"\n"1","a"\n"2"\n',
        b'"Id","Name"\n"1","\xff\xfe"\n',
    ],
)  # fmt: skip
def test_what_is_not_the_page_asked_for_is_a_broken_page(data: bytes) -> None:
    with pytest.raises(PageBrokenError):
        parsed(data, ["Id", "Name"])


def test_errors_do_not_quote_the_rows() -> None:
    with pytest.raises(PageBrokenError) as caught:
        parsed(b'"Id","Name"\n"1","secret","b"\n', ["Id", "Name"])
    assert "secret" not in str(caught.value)


@given(tables().filter(lambda table: table[1]), st.data())
def test_a_compressed_page_that_was_cut_short_is_never_taken_for_whole(
    table: tuple[list[str], Rows], data: st.DataObject
) -> None:
    fields, rows = table
    wire = gzip.compress(written(fields, rows))
    cut = wire[: data.draw(st.integers(1, len(wire) - 1))]
    with pytest.raises(PageBrokenError):
        list(read_csv(ResponseStream(answer(cut, {"Content-Encoding": "gzip"})), fields, fields))


def test_a_page_cut_inside_its_last_value_is_never_taken_for_whole() -> None:
    # The row count would be right, and no length was announced.
    wire = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"Id","Name"\n"1","all of the na'
    with served(wire) as body, pytest.raises(PageBrokenError, match="inside a value"):
        list(read_csv(body, ["Id", "Name"], ["Id", "Name"]))
