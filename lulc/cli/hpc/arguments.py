"""Arguments and options that the commands on a plan share."""

from pathlib import Path

import click

plan_argument = click.argument("plan", metavar="PLAN", type=click.Path(path_type=Path))
site_option = click.option(
    "--site",
    default="generic",
    show_default=True,
    metavar="NAME|PATH",
    help="What the cluster wants to be told: a shipped site or a TOML file; copy configs/sites/generic.toml.",
)
