"""The plan of a sharded run: one JSON file with all decisions, and a folder of notes beside it.

`region.json` holds scenes, products, options and the chunk ranges of the shards. `region.run/` holds the one-line
reasons of failed shards, notes of merged scenes, ids of submitted jobs, scripts and logs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from lulc.config import Table, parse_config, parse_json
from lulc.errors import ConfigError, UsageError, raised_as
from lulc.hpc.shard import decide, lasting, pinned
from lulc.io.files.atomic import write_whole
from lulc.io.files.lock import refuse_link
from lulc.io.files.outputs import check_outputs, check_target
from lulc.io.product.parts import part_folder
from lulc.model.bundle import load_bundle
from lulc.resources import read_regular
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.scene_list import map_of

_MOST_PLAN_BYTES = 1 << 30


class PlannedScene(Table):
    """One scene, its product and its shards.

    Attributes:
        inputs: The scene, or several files that are stacked.
        output: Product to write.
        fingerprint: Fingerprint of the job; parts of another one are not merged.
        window: Side of the network's input window, pixels.
        halo: Margin of each window that is discarded, pixels.
        blend: Width of the cross-fade, pixels.
        cuts: Chunk boundaries: shard i of the scene has chunks cuts[i] to cuts[i + 1] - 1.
    """

    inputs: tuple[Path, ...] = Field(min_length=1)
    output: Path
    fingerprint: str
    window: int
    halo: int
    blend: int
    cuts: tuple[int, ...] = Field(min_length=2)

    @field_validator("output")
    @classmethod
    def _named(cls, output: Path) -> Path:
        if output.name in {"", ".."}:  # its parts could not be given a name beside it
            raise ValueError("it names no file")
        return output

    @model_validator(mode="after")
    def _ascending(self) -> "PlannedScene":
        if self.cuts[0] != 0 or any(later <= sooner for sooner, later in pairwise(self.cuts)):
            raise ValueError(f"cuts must rise from 0: {self.cuts}")
        return self


class ShardPlan(Table):
    """Plan of a sharded run.

    Attributes:
        format: Name and version of the file format.
        options: Options of all scenes, with explicit device, precision and threads, never `auto`.
        scenes: Scenes in the order of their shards.
    """

    format: Literal["lulc-shards-1"] = "lulc-shards-1"
    options: ClassifyOptions
    scenes: tuple[PlannedScene, ...] = Field(min_length=1)

    @field_validator("options")
    @classmethod
    def _of_one_scene(cls, options: ClassifyOptions) -> ClassifyOptions:
        if options.dates:
            raise ValueError("shards are parts of one scene, not of several dates")
        return options

    @cached_property
    def shards(self) -> tuple["Shard", ...]:
        """All shards, numbered through all scenes."""
        ranges = [
            (number, scene, range(first, end))
            for number, scene in enumerate(self.scenes)
            for first, end in pairwise(scene.cuts)
        ]
        return tuple(Shard(index, number, scene, chunks) for index, (number, scene, chunks) in enumerate(ranges))

    def shard(self, index: int) -> "Shard":
        """Look up a shard by its number.

        Raises:
            UsageError: There is no such shard.
        """
        if not 0 <= index < len(self.shards):
            raise UsageError(f"there is no shard {index}", f"the plan has shards 0 to {len(self.shards) - 1}")
        return self.shards[index]

    def options_for(self, scene: PlannedScene) -> ClassifyOptions:
        """Options of one scene, with its window, halo and blend."""
        return self.options.model_copy(update={"window": scene.window, "halo": scene.halo, "blend": scene.blend})


@dataclass(frozen=True)
class Shard:
    """A range of chunks of one scene.

    Attributes:
        index: Number of the shard in the plan.
        scene_index: Number of its scene in the plan.
        scene: Its scene.
        chunks: Indices of its chunks.
    """

    index: int
    scene_index: int
    scene: PlannedScene
    chunks: range

    @property
    def folder(self) -> Path:
        """Work folder of its chunks."""
        return part_folder(self.scene.output, self.index)


def make_plan(
    scenes: Sequence[Sequence[Path]], out: Path, options: ClassifyOptions, shard_chunks: int | None = None
) -> ShardPlan:
    """Plan the shards of scenes; nothing is written.

    Args:
        scenes: For each scene its file, or several files that are stacked.
        out: Folder of the products, which are named after their scenes.
        options: Options of all scenes; choices of this machine are made explicit.
        shard_chunks: Number of chunks of a shard; None makes each scene one shard.

    Raises:
        InputError: A scene is refused.
        ModelError: The model is refused.
        UsageError: An option or the name of a product is refused.
        StorageError: A product exists, or its folder is not writable.
        LimitError: No window fits into `max_memory`.
    """
    options = pinned(options)
    outputs = [map_of(inputs, out) for inputs in scenes]
    every_input = [path for inputs in scenes for path in inputs]
    check_outputs(outputs, every_input, overwrite=options.overwrite)
    bundle = load_bundle(options.model)
    planned = []
    for inputs, output in zip(scenes, outputs, strict=True):
        job = decide(inputs, bundle, options)
        chunks = job.plan.chunk_count
        planned.append(
            PlannedScene(
                inputs=tuple(map(lasting, inputs)),
                output=output.resolve(),
                fingerprint=job.fingerprint,
                window=job.plan.window,
                halo=job.plan.halo,
                blend=job.plan.fade,
                cuts=(*range(0, chunks, shard_chunks or chunks), chunks),
            )
        )
    return ShardPlan(options=options, scenes=tuple(planned))


def write_plan(plan: ShardPlan, path: Path, *, overwrite: bool = False) -> None:
    """Write a plan, one line per scene. Notes of an earlier plan of that name are removed.

    Raises:
        StorageError: The file exists, or cannot be written.
    """
    check_target(path, overwrite=overwrite)
    table = plan.model_dump(mode="json")
    scenes = ",\n".join(f"  {json.dumps(scene)}" for scene in table.pop("scenes"))
    head = json.dumps(table, indent=1).removesuffix("\n}")
    write_whole(path, f'{head},\n "scenes": [\n{scenes}\n ]\n}}\n'.encode())
    notes = notes_folder(path)
    refuse_link(notes)
    for kind in ("shard-*.error", "scene-*.merg*", "scene-*.error", "jobs.jsonl"):
        for note in notes.glob(kind):
            note.unlink(missing_ok=True)


def read_plan(path: Path) -> ShardPlan:
    """Read a plan of `lulc hpc plan`.

    Raises:
        ConfigError: The file is missing or is not a plan.
    """
    with raised_as(ConfigError, f"{path} cannot be read", "give the file of lulc hpc plan", OSError):
        content = read_regular(path, _MOST_PLAN_BYTES)
    with raised_as(ConfigError, f"{path} is not a plan of shards", "make it with lulc hpc plan", ValueError):
        table = parse_json(content)
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is not a plan of shards", "make it with lulc hpc plan")
    return parse_config(ShardPlan, table, str(path))


def notes_folder(path: Path) -> Path:
    """Folder of a plan's notes, scripts and logs: `region.run` beside `region.json`."""
    return path.with_name(f"{path.stem}.run")
