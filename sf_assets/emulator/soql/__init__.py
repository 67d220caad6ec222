"""SOQL: text to tokens (`lexer`), to a tree (`parser`, `nodes`), to DuckDB SQL (`plan`)."""
