"""What every change map is stored as: transitions, the classes of both dates, and where they are from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lulc.io.files.fingerprint import code_fingerprint, file_fingerprint, named_fingerprint
from lulc.io.product.bands import ExtraBand
from lulc.io.product.writer import ProductWriter
from lulc.legend import Legend
from lulc.tasks.change.inputs import KIND, MapPair
from lulc.tasks.change.legend import transition_legend
from lulc.tasks.change.options import ChangeOptions


def dated_bands(classes: Legend) -> tuple[ExtraBand, ExtraBand]:
    """The classes before and after."""
    names = tuple((entry.code, entry.name) for entry in classes)
    return ExtraBand("before", "code", "class code", names), ExtraBand("after", "code", "class code", names)


def change_writer(
    output: Path,
    pair: MapPair,
    options: ChangeOptions,
    extra: Sequence[ExtraBand],
    decided_by: Mapping[str, str],
    chunk: int,
) -> ProductWriter:
    """The writer of a change map.

    Args:
        output: Its file.
        pair: The two maps.
        options: How it is stored.
        extra: Bands behind the transitions.
        decided_by: Tags that say how change was decided.
        chunk: Side of what is stored at once, pixels.

    Raises:
        LulcError: As `ProductWriter`.
    """
    legend = transition_legend(pair.legend)
    stated = {"LULC_KIND": KIND, "LULC_LEGEND": json.dumps(legend.to_table(), sort_keys=True)}
    tags = {**pair.tags(), **stated, **decided_by}
    maps = [file_fingerprint(one.path).hex() for one in (pair.before, pair.after)]
    values = [sorted(one.legend.code_of_value().items()) for one in (pair.before, pair.after)]
    settings = [values, tags, repr(pair.grid), pair.crosswalk.codes, options.creation_options, chunk]
    return ProductWriter(
        output,
        pair.grid,
        legend,
        activations="none",
        extra=tuple(extra),
        tags=tags,
        fingerprint=named_fingerprint({"maps": maps, "lulc": code_fingerprint(), "settings": settings}),
        creation_options=options.creation_options,
        overwrite=options.overwrite,
        resume=options.resume,
        inputs=pair.unchanged,
    )
