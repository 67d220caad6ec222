"""Numbers keep every digit they arrive with: how many digits texts have, and text to decimal.

Salesforce writes doubles as Java does: `100.0`, `9.12260031E8`.
"""

import polars as pl

from sf_assets.columns.column import MOST_DIGITS

_NUMBER = r"^[+-]?0*([0-9]*)(?:\.([0-9]*?)0*)?(?:[eE]([+-]?[0-9]{1,4}))?$"


def digits(texts: pl.Series, integers: int, scale: int) -> tuple[int, int]:
    """Digits before and after the point that the longest of these numbers need.

    Texts that are seen to fit at a glance, which is nearly all of them, are not looked at closely.

    Args:
        texts: Numbers as text; nulls and texts that are no numbers do not count.
        integers: Digits before the point that there is room for.
        scale: Digits after it.
    """
    # `100.0` has no digit after the point that counts.
    glance = rf"^-?[0-9]{{0,{integers}}}(?:\.(?:0|[0-9]{{0,{scale}}}))?$"
    rest = texts.filter(~texts.str.contains(glance)).to_frame("n")
    if rest.is_empty():
        return integers, scale
    before, after = _needs(pl.col("n"))
    needed = rest.select(before.max().alias("before"), after.max().alias("after"))
    return max(integers, needed["before"][0] or 0), max(scale, needed["after"][0] or 0)


def decimal(text: pl.Expr, scale: int, precision: int = MOST_DIGITS) -> pl.Expr:
    """Texts whose digits are known to fit, as decimals; null where one is no number."""
    return text.cast(pl.Decimal(precision, scale), strict=False)


def fitting(text: pl.Expr, scale: int) -> pl.Expr:
    """The texts that a decimal of that scale holds without rounding; null for the others."""
    before, after = _needs(text)
    return pl.when((after <= scale) & (before + scale <= MOST_DIGITS)).then(text)


def _needs(text: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Digits before and after the point, the exponent applied; null where it is no number."""
    parts = text.str.extract_groups(_NUMBER)
    whole, fraction = parts.struct[0], parts.struct[1].fill_null("")
    exponent = parts.struct[2].cast(pl.Int32).fill_null(0)
    zeros_first = fraction.str.len_bytes() - fraction.str.strip_chars_start("0").str.len_bytes()
    significant = (whole + fraction).str.strip_chars_end("0")
    length = whole.str.len_bytes().cast(pl.Int32)
    before = pl.when(whole != "").then(length).otherwise(-zeros_first.cast(pl.Int32)) + exponent
    after = significant.str.len_bytes().cast(pl.Int32) - length - exponent
    zero = pl.when(significant == "").then(0)
    return zero.otherwise(before.clip(0)), zero.otherwise(after.clip(0))
