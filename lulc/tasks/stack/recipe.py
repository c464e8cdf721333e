"""Content of a stack: recipes, and the bands that have to be read for them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lulc.bands import check_bands, sensor
from lulc.config import Table, parse_config, read_toml
from lulc.errors import UsageError
from lulc.indices import INDICES, spectral_index
from lulc.io.scene.scene import Scene
from lulc.resources import config_path
from lulc.tasks.stack.options import StackOptions


class Recipe(Table):
    """Channels of a stack; the schema of configs/stacks/*.toml.

    Attributes:
        name: Short name, as given to `--preset`.
        title: Full name.
        bands: Bands, in order.
        indices: Spectral indices, following the bands.
    """

    name: str = ""
    title: str = ""
    bands: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in order: bands, then indices."""
        return self.bands + self.indices


def load_recipe(name: str | Path) -> Recipe:
    """Load a recipe by the name of its file in configs/stacks, or by path.

    Raises:
        ConfigError: There is no such file, or a key or index is unknown.
    """
    recipe = parse_config(Recipe, read_toml("stacks", name), str(config_path("stacks", name)))
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
    remedy = "select other channels with --select and --indices, or name its bands with --bands"
    for scene in scenes:
        check_bands(scene.info.name, needed, scene.names, remedy)
    return tuple(dict.fromkeys(needed))


def _index_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(spectral_index(name).name for name in names)
