"""The legend of a patch model: the shipped one it names, or colours of its own."""

from collections.abc import Sequence

from lulc.legend import LandClass, Legend, load_legend


def legend_of(classes: Sequence[str], name: str) -> Legend:
    """Classes with codes and colours: of a named legend when it knows all of them, else spread over the hues.

    Raises:
        ConfigError: There is no such legend, or it lacks a class.
    """
    import colorsys

    if name:
        known = load_legend(name)
        if known.names == tuple(classes):
            return known
        colors = {entry.name: entry.color for entry in known}
    else:
        colors = {}
    made = []
    for number, each in enumerate(classes):
        red, green, blue = colorsys.hsv_to_rgb(number / len(classes), 0.55 + 0.3 * (number % 2), 0.85)
        spread = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
        made.append(LandClass(number + 1, each, colors.get(each, spread)))
    return Legend("patches", "Classes of the patches", tuple(made))
