"""Record Ids: checksums, counting, arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.emulator.ids import DIGITS, IdSequence, counter_of, id18, id_at, ids, ids_at

MOST = len(DIGITS) ** 9 - 1
PREFIXES = st.text(DIGITS, min_size=3, max_size=3)


@pytest.mark.parametrize(
    "known",
    ["0057e00000RmwSWAAZ", "01254000001upcKAAQ", "0125j000000RqVkAAK", "012000000000000AAA"],
)
def test_checksum_of_ids_from_real_orgs(known: str) -> None:
    assert id18(known[:15]) == known
    assert id18(known) == known


@pytest.mark.parametrize("wrong", ["", "001", "001Hs000000000!", "001Hs00000000011", "ä" * 15])
def test_what_is_no_id_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="Not a record Id"):
        id18(wrong)


@given(PREFIXES, st.lists(st.integers(0, MOST), min_size=1, max_size=20))
def test_arrays_agree_with_single_ids(prefix: str, counters: list[int]) -> None:
    array = ids_at(prefix, np.array(counters, np.int64))
    assert array.to_pylist() == [id_at(prefix, counter) for counter in counters]
    assert [counter_of(one) for one in array.to_pylist()] == counters


def test_negative_counters_are_null() -> None:
    assert ids_at("001", np.array([-1, 7])).to_pylist() == [None, id_at("001", 7)]
    assert ids_at("001", np.array([], np.int64)).to_pylist() == []


def test_ids_in_order_of_their_counters() -> None:
    some = ids("001", 60, 200_000).to_pylist()
    assert some == sorted(some)
    assert len(set(some)) == len(some)
    assert {len(one) for one in some} == {18}


def test_a_sequence_continues_after_the_highest_id() -> None:
    sequence = IdSequence("006", after=id_at("006", 61))
    assert [next(sequence), next(sequence)] == [id_at("006", 62), id_at("006", 63)]
    assert next(IdSequence("006")) == id_at("006", 1)
