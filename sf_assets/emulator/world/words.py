"""Words that the company's data is made of, and the texts that break exporters."""

import unicodedata
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pyarrow as pa
import yaml

_TEXT = files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
# The loader in C, which wheels bring along, is several times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = yaml.load(_TEXT, Loader=_LOADER)  # noqa: S506 - it is a safe loader


def pool(words: Sequence[str]) -> pa.Array:
    """Words as an Arrow array to take values from."""
    return pa.array(words, pa.string())


FIRST_NAMES = pool(_WORDS["first_names"])
LAST_NAMES = pool(_WORDS["last_names"])
COMPANY_FIRST = pool(_WORDS["company_first"])
COMPANY_SECOND = pool(_WORDS["company_second"])
COMPANY_FORM = pool(_WORDS["company_form"])
TITLES = pool(_WORDS["titles"])
DEPARTMENTS = pool(_WORDS["departments"])
STREETS = pool(_WORDS["streets"])
PRODUCTS = pool(_WORDS["products"])
PRODUCT_LINES = pool(_WORDS["product_lines"])
SUBJECTS = pool(_WORDS["subjects"])
NEXT_STEPS = pool(_WORDS["next_steps"])
SENTENCES = pool(_WORDS["sentences"])
CITIES, STATES, COUNTRIES = (pool([city[part] for city in _WORDS["cities"]]) for part in range(3))
PLACES = np.array([city[4:] for city in _WORDS["cities"]], dtype=np.float64)
# Postal codes for each city.
CODES = 40


def _postal_codes(pattern: str) -> list[str]:
    """Codes of that pattern, a digit for each `#`."""
    places = pattern.count("#")
    numbers = [f"{number * 37 % 10**places:0{places}d}" for number in range(CODES)]
    return [pattern.replace("#" * places, number) if places else pattern for number in numbers]


POSTAL_CODES = pool([code for city in _WORDS["cities"] for code in _postal_codes(city[3])])


def _mailbox(name: str) -> str:
    """A name as it may stand in a mail address."""
    plain = unicodedata.normalize("NFKD", name.replace("ı", "i").replace("ø", "o"))
    return "".join(c for c in plain.lower() if c.isascii() and c.isalpha())


MAILBOX_FIRST = pool([_mailbox(name) for name in _WORDS["first_names"]])
MAILBOX_LAST = pool([_mailbox(name) for name in _WORDS["last_names"]])

# Short enough for any name, and text all the same: nothing here stands for an absent value.
AWKWARD_NAMES = pool(
    [
        "NA",
        "N/A",
        "null",
        "NULL",
        "None",
        "nan",
        "#N/A",
        "true",
        "0",
        "007",
        "1e5",
        "=1+1",
        "+49 30",
        "-",
        "@home",
        'O\'Neil & "Söhne", Ltd.',
        "Back\\slash\\",
        "Percent % and _under_",
        "<b>Bold & brave</b>",
        "Smile 😀 GmbH",
        "Famille 👨‍👩‍👧‍👦 SARL",
        "مصنع الأمل",
        "שלום בע״מ",
        "Zoe\u0308 e\u0301 combined",
        "株式会社テスト",
        "Non\u00a0breaking",
        "Soft\u00adhyphen",
        "Zero\u200bwidth",
    ]
)
AWKWARD_TEXTS = pool(
    [
        *AWKWARD_NAMES.to_pylist(),
        " ",
        "  leading and trailing  ",
        "\ttab first, tab last\t",
        "line\nfeed",
        "carriage\rreturn",
        "carriage return\r\nand line feed",
        "\nfirst character is a line feed",
        "last character is a line feed\n",
        "line separator\u2028and paragraph separator\u2029here",
        'all of it: "quoted", comma, semicolon; pipe| caret^ back`quote\r\n"" and \'single\'',
        '"',
        '""',
        ",",
        "\\N",
        "\\",
        "next line\u0085character",
        "vertical\u000btab and form\u000cfeed",
        "byte order mark\ufeffinside",
        "right-to-left \u202emark\u202c",
        "𝒜𝓈𝓉𝓇𝒶𝓁 plane",
        "2026-01-31T10:00:00.000Z",
        "1.0E7",
        "<p>A <i>rich</i> &amp; <br/>text</p>",
    ]
)


def long_text(length: int) -> str:
    """A text of exactly that many characters, with line breaks, quotes and letters beyond ASCII."""
    line = 'A line with "quotes", commas, ümläuts and 漢字.\r\n'
    return (line * (length // len(line) + 1))[: length - 1] + "."
