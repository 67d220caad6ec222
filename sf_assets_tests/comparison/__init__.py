"""Two sides of the same records, held against each other."""
