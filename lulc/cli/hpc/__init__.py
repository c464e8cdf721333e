"""`lulc hpc`: shards of classifications on a cluster."""

from importlib import import_module

import click

_COMMANDS = {
    "plan": "Cut scenes into shards; leaves a plan.",
    "run": "Run one shard of a plan: what a job does.",
    "render": "Write the job scripts of a plan.",
    "submit": "Submit what is not done to Slurm.",
    "status": "Say what each shard has come to.",
    "merge": "Publish maps whose shards are done.",
}
"""Name and one-line help of each command; its module lulc/cli/hpc/NAME.py is imported when it is called."""


class _LazyHpc(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lulc.cli.hpc.{name}"), name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        del context
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyHpc)
def hpc() -> None:
    """Cut classifications into shards, run them as Slurm jobs, merge them."""
