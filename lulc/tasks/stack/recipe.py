"""Content of a stack: options, recipes, and the bands that have to be read for them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lulc.bands import sensor
from lulc.errors import ConfigError, InputError, UsageError
from lulc.indices import INDICES, spectral_index
from lulc.io.scene.scene import Scene
from lulc.resources import read_toml

_CHUNK_STEP = 256
_MOST_FILLS = 254
"""The channel `source` is uint8: 0 is no scene, 1 the first scene."""

_MOST_DILATION = 200


class Recipe(BaseModel):
    """Channels of a stack; the schema of configs/stacks/*.toml.

    Attributes:
        name: Short name, as given to `--preset`.
        title: Full name.
        bands: Bands, in order.
        indices: Spectral indices, following the bands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    title: str = ""
    bands: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in order: bands, then indices."""
        return self.bands + self.indices


class StackOptions(BaseModel):
    """Options of `lulc stack`.

    Attributes:
        preset: Name of a file in configs/stacks, or path of such a file. It excludes `select` and `indices`.
        select: Bands to write; None writes every band of the scene.
        indices: Spectral indices to write; None writes those in the scene's files.
        bands: Names of the input's bands in order, when the files do not state them.
        offset: Added to digital numbers of the first scene; None reads it from metadata.
        quantification: Digital numbers per unit reflectance of the first scene; None reads it from metadata.
        fill: Scenes whose pixels fill the holes of the first one, in order.
        fill_offset: As `offset`, for every scene in `fill`.
        fill_quantification: As `quantification`, for every scene in `fill`.
        composite: Rule for several dates. `first` takes the first date that has the pixel, `best` does so in order of
            the clear fraction, `median` takes the median of all, `max-ndvi` all bands from the date of the largest
            NDVI.
        clouds: Source of the cloud mask of every scene: none, SCL, QA60 or a network (`model`); `auto` is SCL, else
            QA60.
        cloud_classes: SCL classes to mask, names or numbers; None for `lulc.io.scene.clouds.DEFAULT_CLASSES`.
        dilate: Pixels by which clouds grow.
        chunk: Side of the windows read and written at once, and of the chunks of NetCDF and Zarr, pixels.
        overwrite: Replace an existing output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | Path | None = None
    select: tuple[str, ...] | None = None
    indices: tuple[str, ...] | None = None
    bands: tuple[str, ...] | None = None
    offset: float | None = None
    quantification: float | None = Field(default=None, gt=0)
    fill: tuple[Path, ...] = Field(default=(), max_length=_MOST_FILLS)
    fill_offset: float | None = None
    fill_quantification: float | None = Field(default=None, gt=0)
    composite: Literal["first", "best", "median", "max-ndvi"] = "first"
    clouds: Literal["none", "auto", "scl", "qa60", "model"] = "none"
    cloud_classes: tuple[str, ...] | None = None
    dilate: int = Field(default=0, ge=0, le=_MOST_DILATION)
    chunk: int = Field(default=1024, ge=_CHUNK_STEP, le=8192, multiple_of=_CHUNK_STEP)
    overwrite: bool = False

    @model_validator(mode="after")
    def _check_cloud_options(self) -> Self:
        if self.cloud_classes is not None and self.clouds not in {"auto", "scl"}:
            raise ValueError("--cloud-classes names classes of SCL: give --clouds scl or auto")
        if self.dilate and self.clouds == "none":
            raise ValueError("--dilate grows clouds: give --clouds")
        return self


def load_recipe(name: str | Path) -> Recipe:
    """Load a recipe by the name of its file in configs/stacks, or by path.

    Raises:
        ConfigError: There is no such file, or a key or index is unknown.
    """
    try:
        recipe = Recipe.model_validate(read_toml("stacks", name))
    except ValidationError as error:
        first = error.errors()[0]
        key_path = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"stack {name}: {key_path}: {first['msg']}", "give name, title, bands and indices") from error
    return recipe.model_copy(update={"indices": _index_names(recipe.indices)})


def choose_recipe(options: StackOptions, scene: Scene) -> Recipe:
    """Channels of the stack: those of a preset, of a selection, or all that the scene has.

    Raises:
        UsageError: A preset is combined with a selection, a band is unknown, or there is nothing to write.
        ConfigError: The preset or an index is unknown.
    """
    if options.preset is not None:
        if options.select is not None or options.indices is not None:
            raise UsageError("a preset names its bands and indices", "give --preset, or --select and --indices")
        return load_recipe(options.preset)
    sentinel = sensor()
    held = [name for name in scene.names if name in INDICES]
    select = options.select
    if select is None:
        select = tuple(name for name in scene.names if sentinel.has([name]))
    unknown = [name for name in select if sentinel.canonical(name) is None]
    if unknown:
        raise UsageError(f"{', '.join(unknown)} is no band", f"choose from {', '.join(scene.names)}")
    bands = tuple(sentinel.canonical(name) or name for name in select)
    recipe = Recipe(bands=bands, indices=_index_names(held if options.indices is None else options.indices))
    if not recipe.channels or len(set(recipe.channels)) != len(recipe.channels):
        raise UsageError(f"channels {', '.join(recipe.channels) or '(none)'}", "name at least one, and each once")
    return recipe


def names_to_read(recipe: Recipe, scenes: Sequence[Scene], *, composite: str = "first") -> tuple[str, ...]:
    """Bands and indices to read. An index that every scene holds is read, any other is computed from its bands.

    With `median` every index is computed: the median of an index over dates is not the index of the median bands. With
    `max-ndvi` the bands of NDVI are read too.

    Raises:
        InputError: A scene lacks a band.
    """
    needed = list(recipe.bands)
    for name in recipe.indices:
        held = composite != "median" and all(name in scene.names for scene in scenes)
        needed += [name] if held else spectral_index(name).bands
    if composite == "max-ndvi":
        needed += spectral_index("NDVI").bands
    for scene in scenes:
        missing = [name for name in dict.fromkeys(needed) if name not in scene.names]
        if missing:
            raise InputError(
                f"{scene.info.name} lacks {', '.join(missing)}; it has {', '.join(scene.names)}",
                "select other channels with --select and --indices, or name its bands with --bands",
            )
    return tuple(dict.fromkeys(needed))


def _index_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(spectral_index(name).name for name in names)
