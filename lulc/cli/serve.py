"""`lulc serve`."""

import ipaddress
from pathlib import Path
from typing import Any

import click

from lulc.cli.main import set_verbosity
from lulc.cli.options import Bytes, verbosity_options


@click.command()
@click.option(
    "--map",
    "maps",
    metavar="MAP|DIR",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Show this map, or all maps in this folder; repeat for more. No other file is opened.",
)
@click.option(
    "--base",
    "bases",
    metavar="SCENE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Show this scene in true colour beneath the maps; repeat for more.",
)
@click.option("--view-only", is_flag=True, help="Show maps, take no uploads.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="TCP port; 0 takes a free one."
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="Another name browsers may use for this server.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--model", metavar="NAME|PATH", help="Model of scenes. [default: dw9-s2-10m]")
@click.option("--patch-model", metavar="NAME|PATH", help="Model of patches. [default: eurosat-rgb]")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where networks run.")
@click.option("--basemap", metavar="URL", help="Online map tiles to choose as background: https://.../{z}/{x}/{y}.png.")
@click.option("--basemap-credit", metavar="TEXT", help="Who has to be named for it.")
@click.option("--max-upload", type=Bytes(), metavar="SIZE", help="Largest upload. [default: 2G]")
@click.option("--max-values", type=Bytes(), metavar="N", help="Most pixels times bands of an upload. [default: 2G]")
@click.option("--max-memory", type=Bytes(), metavar="SIZE", help="Main memory a job may take. [default: 8G]")
@click.option("--max-time", type=click.FloatRange(1), metavar="S", help="Seconds a job may take. [default: 3600]")
@click.option("--queue", type=click.IntRange(1, 1000), metavar="N", help="Jobs that may wait. [default: 8]")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Jobs that run at once. [default: 1]")
@click.option("--keep", type=click.FloatRange(0.01), metavar="MINUTES", help="How long results are kept. [default: 60]")
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path),
    help="Where the server makes its own folder for uploads and results, removed at the end.",
)
@verbosity_options
def serve(verbose: int, quiet: int, **given: Any) -> None:  # noqa: ANN401 - fields of Settings and Limits
    """Show maps and classify scenes and patches on a local web page, until Ctrl-C.

    Drop a GeoTIFF scene or a small picture on the page, or send it to POST /classify; /docs describes what programs may ask.
    """
    from lulc.serve.run import serve as run
    from lulc.serve.settings import Limits, Settings

    set_verbosity(verbose, quiet)
    asked = {name: value for name, value in given.items() if value is not None}
    open_page, parent = asked.pop("open_page"), asked.pop("work_dir", None)
    limits = {field: asked.pop(option) for option, field in _LIMITS.items() if option in asked}
    settings = Settings(**asked, limits=Limits(**limits))
    if not _is_loopback(settings.host):
        click.echo("lulc: everyone who reaches this address may use this server: it asks for no password", err=True)

    def ready(address: str) -> None:
        if not quiet:
            click.echo(f"{address} (Ctrl-C ends it)")
        if open_page:
            click.launch(address)

    run(settings, ready, parent)


_LIMITS = {
    "max_upload": "upload_bytes",
    "max_values": "values",
    "max_memory": "job_bytes",
    "max_time": "job_seconds",
    "queue": "queue",
    "jobs": "jobs",
    "keep": "keep_minutes",
}
"""Options that are limits, and what these are called."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
