"""The tables of a warehouse in SQL, whichever engine runs it."""
