"""`python -m sf_assets.cli`."""

from sf_assets.cli import main

main()
