"""`python -m lulc`."""

from lulc.cli.main import cli

cli()
