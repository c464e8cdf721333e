"""Arguments and options that the commands on a plan share."""

from pathlib import Path
from typing import Any

import click

plan_argument = click.argument("plan", metavar="PLAN", type=click.Path(path_type=Path))
site_option = click.option(
    "--site",
    default="generic",
    show_default=True,
    metavar="NAME|PATH",
    help="What the cluster wants to be told: a shipped site or a TOML file; copy configs/sites/generic.toml.",
)


class Numbers(click.ParamType[Any]):
    """Numbers such as `3,7,10-12`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:  # noqa: ANN401
        """Parse the text; fails with a usage error."""
        numbers: list[int] = []
        for part in str(value).split(","):
            first, _, last = part.strip().partition("-")
            if not first.isdigit() or not (last or first).isdigit():
                self.fail(f"{value!r}: write numbers such as 3,7,10-12", param, ctx)
            numbers += range(int(first), int(last or first) + 1)
        return tuple(numbers)
