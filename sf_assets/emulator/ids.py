"""Record Ids: 15 characters that count, and 3 more that make them safe where case is lost.

An Id is the object's key prefix (3), the instance the record was born on (2), a reserved `0`, a
counter of nine base-62 digits, and the checksum (3) that says which characters are upper case.
"""

from functools import cache
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
INSTANCE = "Hs"
# History objects have no key prefix in describe; the Ids of their rows begin with this one.
HISTORY_PREFIX = "017"

_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_COUNTER_DIGITS = 9
_WITHOUT_CHECKSUM = 15
_WITH_CHECKSUM = 18
_TRIPLES = len(DIGITS) ** 3


def id18(id15: str) -> str:
    """Appends the checksum to an Id of 15 characters; one of 18 comes back as it is.

    Each of the three groups of five characters gives one checksum character, whose bits say which
    of the five are upper case.
    """
    if len(id15) == _WITH_CHECKSUM:
        return id15
    if len(id15) != _WITHOUT_CHECKSUM or not id15.isascii() or not id15.isalnum():
        raise ValueError(f"Not a record Id of 15 or 18 characters: {id15!r}")
    groups = (id15[0:5], id15[5:10], id15[10:15])
    bits = (sum(c.isupper() << place for place, c in enumerate(group)) for group in groups)
    return id15 + "".join(_CHECKSUM[b] for b in bits)


def id_at(prefix: str, counter: int) -> str:
    """The Id of 18 characters with that counter."""
    digits = []
    for _ in range(_COUNTER_DIGITS):
        counter, digit = divmod(counter, len(DIGITS))
        digits.append(DIGITS[digit])
    return id18(f"{prefix}{INSTANCE}0{''.join(reversed(digits))}")


def counter_of(record_id: str) -> int:
    """The counter inside an Id of 15 or 18 characters."""
    counter = 0
    for digit in record_id[6:15]:
        counter = counter * len(DIGITS) + DIGITS.index(digit)
    return counter


class IdSequence:
    """New Ids of one object, one after the other.

    Args:
        prefix: The object's key prefix.
        after: The highest Id in use; the first new one follows it. None begins at 1.
    """

    def __init__(self, prefix: str, after: str | None = None) -> None:
        self._prefix = prefix
        self._counters = count(counter_of(after) + 1 if after else 1)

    def __next__(self) -> str:
        """The next Id. Safe to call from several threads."""
        return id_at(self._prefix, next(self._counters))


def ids(prefix: str, start: int, length: int) -> pa.StringArray:
    """Ids with consecutive counters, as one Arrow array.

    Args:
        prefix: The object's key prefix.
        start: Counter of the first.
        length: How many.
    """
    return ids_at(prefix, np.arange(start, start + length, dtype=np.int64))


def ids_at(prefix: str, counters: npt.NDArray[np.int64]) -> pa.StringArray:
    """Ids with the given counters, as one Arrow array; more than ten million a second.

    Args:
        prefix: The object's key prefix.
        counters: One counter below 62**9 for each Id; a negative one gives null.
    """
    characters, uppers = _triples()
    # Three base-62 digits at a time: high, middle and low triple of the counter.
    rest, low = np.divmod(np.maximum(counters, 0), _TRIPLES)
    high, middle = np.divmod(rest, _TRIPLES)
    text = np.empty((len(counters), _WITH_CHECKSUM), dtype=np.uint8)
    head = f"{prefix}{INSTANCE}0"
    for place, character in enumerate(head.encode()):
        text[:, place] = character
    # Column by column: several times faster than writing rows of three characters.
    for place in range(3):
        text[:, 6 + place] = characters[place][high]
        text[:, 9 + place] = characters[place][middle]
        text[:, 12 + place] = characters[place][low]
    text[:, 15] = ord(id18(head + "0" * _COUNTER_DIGITS)[15])
    # Second group: the reserved 0, the high triple, the first digit of the middle one.
    checksum = np.frombuffer(_CHECKSUM.encode(), dtype=np.uint8)
    text[:, 16] = checksum[(uppers[high] << 1) | ((uppers[middle] & 1) << 4)]
    text[:, 17] = checksum[(uppers[middle] >> 1) | (uppers[low] << 2)]
    return fixed_text(text, counters >= 0)


def fixed_text(text: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> pa.StringArray:
    """Turns a matrix of characters, one row a value, into an Arrow array of strings.

    Args:
        text: ASCII codes, rows by width.
        valid: Which rows are values; the others become null.
    """
    length, width = text.shape
    offsets = np.arange(length + 1, dtype=np.int32) * np.int32(width)
    bitmap = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.StringArray.from_buffers(length, pa.py_buffer(offsets), pa.py_buffer(text), bitmap)


@cache
def _triples() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """For every number of three base-62 digits: its characters by place; which are upper."""
    digits = np.frombuffer(DIGITS.encode(), dtype=np.uint8)
    numbers = np.arange(_TRIPLES)
    characters = digits[np.stack([numbers // 62**2, numbers // 62 % 62, numbers % 62])]
    upper = (characters >= ord("A")) & (characters <= ord("Z"))
    return characters, (np.array([1, 2, 4]) @ upper).astype(np.uint8)
