"""The steps between an org and its tables. Dagster and the command line call them."""
