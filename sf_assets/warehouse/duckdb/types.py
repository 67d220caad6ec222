"""What type a column has in DuckDB."""

from sf_assets.columns.column import Column, ColumnKind

_TYPES = {
    ColumnKind.TEXT: "VARCHAR",
    ColumnKind.ANY: "VARCHAR",
    ColumnKind.BOOLEAN: "BOOLEAN",
    ColumnKind.INTEGER: "BIGINT",
    ColumnKind.DATE: "DATE",
    ColumnKind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnKind.TIME: "TIME",
    ColumnKind.LIST: "VARCHAR[]",
}


def type_of(column: Column) -> str:
    """The type of a column, as SQL writes it."""
    if column.kind is ColumnKind.DECIMAL:
        return f"DECIMAL({column.integers + column.scale}, {column.scale})"
    return _TYPES[column.kind]
