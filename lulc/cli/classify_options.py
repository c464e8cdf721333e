"""Options that decide a classification: those of `lulc classify` and of `lulc hpc plan`."""

import click

from lulc.cli.options import (
    AutoOr,
    Bytes,
    Command,
    bands_option,
    creation_option,
    offset_option,
    overwrite_option,
    quantification_option,
)

_DECISIVE = (
    click.option(
        "--model", metavar="NAME|PATH", help="A shipped model, or a bundle's folder or zip. [default: dw9-s2-10m]"
    ),
    bands_option,
    offset_option,
    quantification_option,
    click.option(
        "--window",
        type=AutoOr(click.IntRange(min=1)),
        default="auto",
        show_default=True,
        help="Side of what the network sees at once, halo included, in pixels.",
    ),
    click.option(
        "--halo",
        type=AutoOr(click.IntRange(min=0)),
        default="auto",
        show_default=True,
        help="Margin of each window that is thrown away, in pixels; auto follows the network's receptive field.",
    ),
    click.option(
        "--blend",
        type=AutoOr(click.IntRange(min=0)),
        default="auto",
        show_default=True,
        help="Width of the cross-fade between windows, in pixels; auto is 0 when the halo is exact.",
    ),
    click.option(
        "--activations",
        type=click.Choice(["uint8", "float32", "none"]),
        default="uint8",
        show_default=True,
        help="How the activation of each class is stored.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        default="auto",
        show_default=True,
        help="Precision of the network; auto is bf16 where the hardware has it.",
    ),
    click.option(
        "--batch",
        type=AutoOr(click.IntRange(min=1)),
        default="auto",
        show_default=True,
        help="Windows per forward pass; halved when the device runs out of memory.",
    ),
    click.option(
        "--threads",
        type=AutoOr(click.IntRange(min=1)),
        default="auto",
        show_default=True,
        help="CPU threads of the network; auto is the cores that lulc may use. Equal bytes are promised for equal threads.",
    ),
    click.option(
        "--max-memory",
        type=Bytes(),
        metavar="SIZE",
        help="Main memory the run may take, such as 2G; the window shrinks to fit.",
    ),
    overwrite_option,
    creation_option,
    click.option(
        "--allow-no-georef", is_flag=True, help="Accept a scene without georeference; the map has none either."
    ),
)


def classify_options(command: Command) -> Command:
    """Add the options that become fields of `ClassifyOptions`."""
    for option in reversed(_DECISIVE):
        command = option(command)
    return command
