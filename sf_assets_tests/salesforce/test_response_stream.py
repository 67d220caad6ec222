"""Bodies of answers: all of it, or an error."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sf_assets.errors import PageBrokenError
from sf_assets.salesforce.response_stream import ResponseStream
from sf_assets_tests.salesforce.pages import answer, page, served

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
GZIP = {"Content-Encoding": "gzip"}


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 50), st.lists(st.integers(1, 70)))
def test_bytes_arrive_as_they_were_sent_however_they_are_asked_for(
    data: bytes, zipped: bool, drip: int, sizes: list[int]
) -> None:
    assume(zipped or data.count(b'"') % 2 == 0)  # else it was cut inside a value
    body = page(data, zipped=zipped, drip=drip)
    pieces: list[bytes] = []
    for size in sizes:
        piece = body.read(size)
        assert len(piece) <= size
        assert piece or sum(map(len, pieces)) == len(data)
        pieces.append(piece)
    assert b"".join([*pieces, body.read()]) == data
    assert body.read(10) == b""


@given(st.lists(st.binary(max_size=20), max_size=5).map(b"\n".join), st.booleans())
def test_looking_ahead_and_taking_the_first_line_lose_nothing(data: bytes, zipped: bool) -> None:
    assume(zipped or data.count(b'"') % 2 == 0)  # else it was cut inside a value
    body = page(data, zipped=zipped, drip=3)
    assert data.startswith(body.peek())
    line = body.readline_quoted()
    assert line == data[: data.find(b"\n") + 1 or len(data)]
    assert bool(body.peek()) == (len(data) > len(line))
    assert line + body.read() == data


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_gzip_stream_that_was_cut_short_is_never_taken_for_whole(
    data: bytes, draw: st.DataObject
) -> None:
    whole = gzip.compress(data)
    cut = whole[: draw.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(PageBrokenError, match="cut short"):
        ResponseStream(answer(cut, GZIP)).read()


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_damaged_gzip_stream_is_a_broken_page_or_the_very_same_bytes(
    data: bytes, draw: st.DataObject
) -> None:
    wire = bytearray(gzip.compress(data))
    wire[draw.draw(st.integers(0, len(wire) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        received = ResponseStream(answer(bytes(wire), GZIP)).read()
    except PageBrokenError:
        return
    assert received == data


def test_gzip_streams_one_after_the_other_are_one_body() -> None:
    wire = gzip.compress(b"first,") + gzip.compress(b"") + gzip.compress(b"second")
    assert ResponseStream(answer(wire, GZIP, drip=7)).read() == b"first,second"
    with pytest.raises(PageBrokenError, match="cut short"):
        ResponseStream(answer(wire[:-9], GZIP)).read()


def test_a_compressed_answer_without_a_body_is_empty() -> None:
    assert ResponseStream(answer(b"", GZIP)).read() == b""


def test_what_was_compressed_a_thousandfold_is_held_a_piece_at_a_time() -> None:
    body = ResponseStream(answer(gzip.compress(bytes(50 << 20)), GZIP))
    tracemalloc.start()
    try:
        total = sum(map(len, iter(lambda: body.read(1000), b"")))
        assert total == 50 << 20
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_answer_shorter_than_announced_is_a_broken_page() -> None:
    with (
        served(OK + b"Content-Length: 10\r\n\r\nabcde") as body,
        pytest.raises(PageBrokenError, match="connection broke"),
    ):
        body.read()


def test_a_chunked_answer_without_its_last_chunk_is_a_broken_page() -> None:
    with (
        served(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n") as body,
        pytest.raises(PageBrokenError, match="connection broke"),
    ):
        body.read()


def test_a_chunked_answer_is_read_to_its_end() -> None:
    wire = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n"
    with served(wire) as body:
        assert body.read() == b"abcdef"


def test_an_answer_that_ends_with_its_connection_may_not_end_inside_a_value() -> None:
    with served(OK + b'\r\n"Id","Name"\n"1","a ""quoted"" name"\n') as body:
        assert body.read().endswith(b'name"\n')
    with (
        served(OK + b'\r\n"Id","Name"\n"1","a ""quoted""') as body,
        pytest.raises(PageBrokenError, match="inside a value"),
    ):
        body.read()


def test_an_answer_that_zlib_made_without_a_gzip_header_is_a_broken_page() -> None:
    with pytest.raises(PageBrokenError):
        ResponseStream(answer(zlib.compress(b"abc"), GZIP)).read()
