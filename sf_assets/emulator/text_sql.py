"""SQL that spells stored values: Java numbers, ISO dates, CSV cells, JSON."""

_DOUBLES = ("double", "currency", "percent")


def java_double(value: str) -> str:
    """SQL for a double as Java's `Double.toString` spells it.

    Plain from 0.001 up to but not including ten million, `d.dddEn` elsewhere, always with a digit
    after the point. DuckDB gives the shortest digits that read back as the same number, as Java
    does; only their layout differs.

    Args:
        value: A column name or another expression that is cheap to repeat.
    """
    size = f"abs({value})"
    plain = f"CAST({value} AS VARCHAR)"
    positive = f"CAST({size} AS VARCHAR)"
    sign = f"if({value} < 0, '-', '')"
    # 1.5e+16 and 1.25e-07 have the layout but for the sign and the zeros of the exponent.
    mantissa = f"split_part({positive}, 'e', 1)"
    exponent = f"CAST(split_part({positive}, 'e', 2) AS INTEGER)"
    point = f"if(contains({mantissa}, '.'), '', '.0')"
    scientific = f"concat({sign}, {mantissa}, {point}, 'E', {exponent})"
    digits = f"rtrim(replace({positive}, '.', ''), '0')"
    large = _shifted(sign, digits, f"strpos({positive}, '.') - 2")
    # What follows `0.` in a small number: its leading zeros say how small.
    fraction = f"substr({positive}, 3)"
    significant = f"ltrim({fraction}, '0')"
    small = _shifted(sign, significant, f"length({significant}) - length({fraction}) - 1")
    return (
        f"CASE WHEN {value} IS NULL OR {value} = 0 OR {size} >= 1e-3 AND {size} < 1e7 THEN {plain}"
        f" WHEN contains({positive}, 'e') THEN {scientific}"
        f" WHEN {size} >= 1e7 THEN {large} ELSE {small} END"
    )


def _shifted(sign: str, digits: str, exponent: str) -> str:
    rest = f"coalesce(nullif(substr({digits}, 2), ''), '0')"
    return f"concat({sign}, left({digits}, 1), '.', {rest}, 'E', {exponent})"


def moment(value: str, zone: str) -> str:
    """SQL for a datetime; `zone` is what ends it, `Z` or `+0000`."""
    return f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%g{zone}')"


def time_of_day(value: str) -> str:
    """SQL for a time: `10:00:00.000Z`."""
    return f"strftime(DATE '2000-01-01' + {value}, '%H:%M:%S.%gZ')"


def csv_cell(kind: str, value: str) -> str:
    """SQL for the text between the quotes of a CSV cell; null may stay null.

    Args:
        kind: Salesforce type.
        value: Column name.
    """
    if kind in _DOUBLES:
        return java_double(value)
    match kind:
        case "boolean" | "int" | "long" | "date":
            return value
        case "datetime":
            return moment(value, "Z")
        case "time":
            return time_of_day(value)
        case "id" | "reference":
            return value
    # Most values have no quote, and looking for one is cheaper than copying the text.
    return f"if(contains({value}, '\"'), replace({value}, '\"', '\"\"'), {value})"


def json_value(kind: str, value: str) -> str:
    """SQL for a JSON value, `null` for null.

    Args:
        kind: Salesforce type.
        value: Column name.
    """
    if kind in _DOUBLES:
        text = java_double(value)
    elif kind in ("boolean", "int", "long"):
        text = f"CAST({value} AS VARCHAR)"
    elif kind in ("date", "id", "reference"):
        text = f"concat('\"', {value}, '\"')"
    elif kind == "datetime":
        text = f"concat('\"', {moment(value, '+0000')}, '\"')"
    elif kind == "time":
        text = f"concat('\"', {time_of_day(value)}, '\"')"
    else:
        text = f"CAST(to_json({value}) AS VARCHAR)"
    return f"if({value} IS NULL, 'null', {text})"


def text_literal(value: str) -> str:
    """A string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
