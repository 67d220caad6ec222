"""Ids of one reading: none comes twice, however the rows are cut into pages."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.errors import PageBrokenError
from sf_assets.pipeline.extraction import duplicate_ids as seen
from sf_assets.pipeline.extraction.duplicate_ids import Seen

ids = st.integers(0, 400).map(lambda n: f"001{n:015d}")


def read(pages: Sequence[Sequence[Sequence[str | None]]]) -> None:
    """Read pages, each of which comes in chunks."""
    with Seen() as ours:
        for chunks in pages:
            page = ours.page()
            for chunk in chunks:
                page.see(pa.table({"Id": pa.array(chunk, pa.string())}))
            page.close()
        ours.check()


@given(pages=st.lists(st.lists(st.lists(ids, max_size=8), max_size=3), max_size=5))
def test_an_id_that_comes_twice_is_noticed_and_no_other(
    pages: Sequence[Sequence[Sequence[str]]],
) -> None:
    every = [record for chunks in pages for chunk in chunks for record in chunk]
    if len(set(every)) == len(every):
        read(pages)
    else:
        with pytest.raises(PageBrokenError, match="the same record"):
            read(pages)


def test_a_row_without_an_id_is_no_record() -> None:
    with pytest.raises(PageBrokenError, match="without an Id"):
        read([[["a"], [None]]])


def test_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 60,000 is there twice, a hundred pages later; they are in a file by then."""
    monkeypatch.setattr(seen, "_SPILLED", 1 << 10)
    pages = [[[f"001{n * 500 + row:015d}" for row in range(500)]] for n in range(120)]
    read(pages)
    pages[110][0][250] = pages[10][0][7]
    with pytest.raises(PageBrokenError, match="two result pages"):
        read(pages)


def test_a_page_that_is_read_again_counts_once() -> None:
    with Seen() as ours:
        broken = ours.page()
        broken.see(pa.table({"Id": ["a", "b", "b"]}))
        with pytest.raises(PageBrokenError, match="twice"):
            broken.close()
        whole = ours.page()
        whole.see(pa.table({"Id": ["a", "b", "c"]}))
        whole.close()
        ours.check()
