"""Out of the org, into raw: windows, records by Id, deletions, drifted fields."""
