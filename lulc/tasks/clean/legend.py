"""The legend of a cleaned map, and how the classes of the map become its classes."""

from collections.abc import Sequence
from pathlib import Path

from lulc.crosswalk import Crosswalk, coarsened, crosswalk_ends, load_crosswalk
from lulc.errors import ConfigError, UsageError, did_you_mean
from lulc.legend import LandClass, Legend, load_legend

_EXAMPLE = "write --merge CLASS,CLASS=NAME, such as crops,grass=open"


def clean_crosswalk(
    legend: Legend, to: str | Path | None, crosswalk: str | Path | None, merge: Sequence[str]
) -> Crosswalk:
    """From the classes of a map to those of the cleaned one; the identity where nothing is merged.

    Args:
        legend: Of the map.
        to: Legend to bring it to; None for none.
        crosswalk: File that leads there; None takes the shipped one.
        merge: Texts such as `crops,grass=open`.

    Raises:
        ConfigError: No such legend or crosswalk, or it ignores every class.
        UsageError: A merge names a class that there is not, or that another one names.
    """
    if merge:
        return merged_classes(legend, merge)
    if to is None:
        return load_crosswalk(legend, legend)
    target = load_legend(to)
    if crosswalk is not None and crosswalk_ends(crosswalk)[1] != target.name:
        raise ConfigError(f"crosswalk {crosswalk} does not lead to {target.name}", "give another, or another --to")
    (found,) = coarsened(load_crosswalk(legend, target, crosswalk))
    if len(found.ignored) == len(legend):
        raise ConfigError(
            f"the crosswalk from {legend.name} to {target.name} ignores every class", "give another --crosswalk or --to"
        )
    return found


def merged_classes(legend: Legend, merge: Sequence[str]) -> Crosswalk:
    """A crosswalk that makes one class of several, which stands where the first of them stood in the legend.

    Args:
        legend: Of the map.
        merge: Texts such as `crops,grass=open`; the new class has the colour of the class that is named first.

    Raises:
        UsageError: A text is none, or names a class that there is not, or that is named twice.
    """
    groups = dict(_parsed(text, legend) for text in merge)
    if len(groups) < len(merge):
        raise UsageError(f"two of --merge make a class {_repeated(merge)!r}", "name all its members in one")
    named = [code for members in groups.values() for code in members]
    for code in named:
        if named.count(code) > 1:
            raise UsageError(f"--merge names the class {legend.names[code - 1]!r} twice", "merge each class once")
    name_of = {code: name for name, members in groups.items() for code in members}
    names = list(dict.fromkeys(name_of.get(entry.code, entry.name) for entry in legend))
    for entry in legend:
        if entry.code not in name_of and entry.name in groups:
            raise UsageError(
                f"--merge makes a class {entry.name!r}, and there is one", "choose another name, or merge it too"
            )
    colors = {entry.name: entry.color for entry in legend}
    colors |= {name: legend.classes[members[0] - 1].color for name, members in groups.items()}
    classes = tuple(LandClass(code, name, colors[name]) for code, name in enumerate(names, 1))
    said = "; ".join(f"{_listed(legend, members)} as {name}" for name, members in groups.items())
    target = Legend(f"{legend.name}, merged", f"{legend.title}, {said}", classes)
    return Crosswalk(legend, target, tuple(names.index(name_of.get(e.code, e.name)) + 1 for e in legend))


def _listed(legend: Legend, codes: Sequence[int]) -> str:
    return " and ".join(legend.names[code - 1] for code in codes)


def _repeated(merge: Sequence[str]) -> str:
    names = [text.rpartition("=")[2].strip() for text in merge]
    return next(name for name in names if names.count(name) > 1)


def _parsed(text: str, legend: Legend) -> tuple[str, list[int]]:
    """Name of the new class, and codes of those that it is made of. Names of classes may hold commas."""
    listed, equals, name = text.rpartition("=")
    parts, codes = listed.split(","), list[int]()
    if not (equals and name.strip() and listed.strip()):
        raise UsageError(f"--merge {text!r} names no classes and no new one", _EXAMPLE)
    known = {entry.name: entry.code for entry in legend}
    while parts:
        ends = (end for end in range(len(parts), 0, -1) if ",".join(parts[:end]).strip() in known)
        end = next(ends, 0)
        if not end:
            raise UsageError(
                f"--merge: {legend.name} has no class {parts[0].strip()!r}", did_you_mean(parts[0].strip(), known)
            )
        codes.append(known[",".join(parts[:end]).strip()])
        parts = parts[end:]
    return name.strip(), codes
