"""Result pages as columns: CSV in, Arrow out, every value text, only an empty cell null."""

import csv
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv as pc

from sf_assets.errors import PageBrokenError
from sf_assets.salesforce.response_stream import ResponseStream

BLOCKS = (1 << 20, 1 << 24, 1 << 27)
"""Parser block sizes in bytes, to be tried in turn: a record must fit into a block, and a small
block is fastest (libraries.md §2)."""

_STRADDLING = "straddling object"


class RecordTooLongError(PageBrokenError):
    """A record does not fit into the parser's block; a larger block will do."""


def read_csv(
    body: ResponseStream, fields: Sequence[str], columns: Sequence[str], block_size: int = BLOCKS[0]
) -> Iterator[pa.RecordBatch]:
    """Parse one result page as it arrives.

    Args:
        body: The page. It may be wholly empty, which is no rows.
        fields: The fields selected, which the header must name, in any case and order.
        columns: What to call them, in the same order.
        block_size: Bytes parsed at once.

    Yields:
        Batches of text columns in the order of `columns`.

    Raises:
        PageBrokenError: The header or a row is not what was asked for.
        RecordTooLongError: Try again with a larger block.
    """
    header = _header(body.readline_quoted())
    if not header:
        return
    if sorted(map(str.lower, header)) != sorted(map(str.lower, fields)):
        # The names are not told: without a header they are a row's values.
        raise PageBrokenError(
            f"a result page begins with {len(header)} names, which are not those of the "
            f"{len(fields)} fields selected"
        )
    named = dict(zip((f.lower() for f in fields), columns, strict=True))
    arrived = [named[name.lower()] for name in header]
    if not body.peek():
        return
    try:
        reader = pc.open_csv(
            pa.PythonFile(_Blocks(body), mode="r"),
            read_options=pc.ReadOptions(column_names=arrived, block_size=block_size),
            parse_options=pc.ParseOptions(newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(arrived, pa.string()),
                include_columns=list(columns),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        yield from reader
    except pa.ArrowInvalid as error:
        if _STRADDLING in str(error):
            raise RecordTooLongError("a record is longer than the parser's block") from None
        # Arrow's message quotes the row, and values are not for logs.
        brief = str(error).partition(":")[0]
        raise PageBrokenError(f"a result page is not the CSV it should be ({brief})") from None


class _Blocks:
    """A body as Arrow must read it: in full blocks, none of which ends in a carriage return.

    Arrow takes each read for a block, however short, and no record may cross two block edges. And
    where a block ends in CR and the next begins with LF, it drops the LF, even inside a value.
    """

    closed = False

    def __init__(self, body: ResponseStream) -> None:
        self._body = body
        self._held = b""

    def read(self, size: int) -> bytes:
        """The next block; empty at the end."""
        pieces, missing = [self._held], size - len(self._held)
        while missing > 0 and (piece := self._body.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        block = b"".join(pieces)
        self._held = b"\r" if missing <= 0 and block.endswith(b"\r") else b""
        return block.removesuffix(self._held)


def _header(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error):
        raise PageBrokenError("a result page does not begin with a header") from None
