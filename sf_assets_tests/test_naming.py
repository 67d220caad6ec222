"""Names are found in any case, and told as they are spelt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_assets.naming import Names, folded, same_name

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True)


@given(st.dictionaries(names, st.integers()), names)
def test_values_are_found_by_a_name_in_any_case(items: dict[str, int], other: str) -> None:
    found = Names(items.items())
    last = {name.lower(): (name, value) for name, value in items.items()}
    assert len(found) == len(last)
    assert sorted(found) == sorted(name for name, _ in last.values())
    for name in (*items, other):
        for spelt in (name.upper(), name.lower(), name.swapcase()):
            assert (spelt in found) == (name.lower() in last)
            assert found.get(spelt) == last.get(name.lower(), (None, None))[1]
            assert found.spelt(spelt) == last.get(name.lower(), (spelt,))[0]
            assert same_name(spelt, name)
            assert folded(spelt) == folded(name)


def test_what_is_no_name_is_not_found() -> None:
    assert None not in Names([("a", 1)])
    with pytest.raises(KeyError):
        Names([("a", 1)])["b"]
