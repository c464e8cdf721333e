"""`lulc serve`."""

import ipaddress
from pathlib import Path

import click

from lulc.cli.params.options import model_options
from lulc.cli.terminal.console import Console, with_console
from lulc.serve.settings import Limits, Settings


@click.command()
@model_options(settings=Settings, limits=Limits)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path),
    help="Where the server makes its own folder for uploads and results, removed at the end.",
)
@with_console(as_json=False)
def serve(*, settings: Settings, limits: Limits, open_page: bool, work_dir: Path | None, console: Console) -> None:
    """Show maps and classify scenes and patches on a local web page, until Ctrl-C.

    Drop a GeoTIFF scene or a small picture on the page, or send it to POST /classify; /docs describes what programs may ask.
    """
    from lulc.serve.run import serve as run

    if not _is_loopback(settings.host):
        click.echo("lulc: everyone who reaches this address may use this server: it asks for no password", err=True)

    def ready(address: str) -> None:
        console.say(lambda: f"{address} (Ctrl-C ends it)")
        if open_page:
            click.launch(address)

    run(settings.model_copy(update={"limits": limits}), ready, work_dir)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
