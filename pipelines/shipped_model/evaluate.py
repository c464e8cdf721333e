"""Measure models on the places that nothing was trained on, and write the tables as Markdown.

    python pipelines/shipped_model/evaluate.py --data DATA --out DIR MODEL [MODEL ...]

`DATA` is laid out like the project's shared data folder. DIR gets `evaluation.md` and, of the last model, a contact sheet of
each place: true colour, teacher, map, confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from agreement import Place, compare, macro_f1
from data import CLASSES, Patch, by_place, eurosat, survey_points, validation_patches
from other_labels import (
    aberystwyth_groups,
    areal_patches,
    eurosat_groups,
    group_calibration_error,
    long_things,
    points_named,
)
from sheets import write_sheet
from stability import CHANGES, kept
from student import Student, reflectance_of
from torch import Tensor

from lulc.io.report.markdown import markdown_table

Places = dict[str, list[Patch]]


@dataclass(frozen=True)
class Figures:
    """What was measured of a model.

    Attributes:
        student: The model.
        places: Its logits beside the teacher's probabilities.
        stability: Part of the pixels that keep their class, by change, then by place.
        other: Figures against labels that are not the teacher's, by what they are.
        network: Facts on the network, as text.
    """

    student: Student
    places: list[Place]
    stability: dict[str, dict[str, float]]
    other: dict[str, float]
    network: str

    @property
    def agreement(self) -> float:
        """Mean of places."""
        return float(np.mean([place.agreement for place in self.places]))


def measure(student: Student, places: Places, data: Path) -> Figures:
    """Measure a model on the validation places."""
    stable = {name: kept(student, patches) for name, patches in places.items()}
    return Figures(
        student,
        [compare(student, name, patches) for name, patches in places.items()],
        {change: {name: shares[change] for name, shares in stable.items()} for change in CHANGES},
        other_labels(student, places, data),
        describe(student),
    )


def label_groups(student: Student, places: Places, data: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Logits and allowed classes (pixels, 9) where labels are known that are not the teacher's."""
    scene = reflectance_of(places["aber"][0].image)
    return {
        "EuroSAT areal pixels": eurosat_groups(student, places["eurosat_val"]),
        "Aberystwyth, 4 classes": aberystwyth_groups(student.logits(scene), data),
    }


def other_labels(student: Student, places: Places, data: Path) -> dict[str, float]:
    """Agreement and calibration error against patch names, the map of Aberystwyth and survey points."""
    found = {}
    for name, (logits, allowed) in label_groups(student, places, data).items():
        found[name] = float(allowed.gather(1, logits.argmax(dim=1, keepdim=True)).mean())
        found[f"calibration error, {name}"] = group_calibration_error(logits, allowed, student.temperature)
    found["EuroSAT areal patches by majority"] = areal_patches(student, places["eurosat_val"])
    patches = [*eurosat(data, "train"), *places["eurosat_val"]]
    things = long_things(patches, (student.classes(reflectance_of(patch.image)) for patch in patches))
    found |= {f"EuroSAT {name} patches with a long thing": share for name, share in things.items()}
    return found | {"survey points, mean of classes": points_named(student, survey_points(data, "val"))[0]}


def describe(student: Student) -> str:
    """Size and receptive field of a network."""
    weights = sum(weight.numel() for weight in student.network.parameters())
    return f"{weights:,} weights, stride {student.stride} px, half receptive field {student.half_field} px"


def report(found: list[Figures]) -> str:
    """All tables of some models, as Markdown."""
    names = [place.name for place in found[0].places]
    temperatures = [figures.student.temperature for figures in found]
    f1 = [macro_f1(figures.places) for figures in found]
    errors = [
        {place.name: place.calibration_error(temperature) for place in figures.places}
        for figures, temperature in zip(found, temperatures, strict=True)
    ]
    agreement = [{place.name: place.agreement for place in figures.places} for figures in found]
    sections = {
        "Agreement with the teacher": _table(found, names, agreement, "least", min),
        "F1 of each class, each place one vote": _table(found, CLASSES, [scores for _, scores in f1], "least", min),
        "Calibration error of the winning class, the teacher's class as the truth": _table(
            found, names, errors, "most", max
        ),
        "Labels that are not the teacher's": _table(found, found[0].other, [figures.other for figures in found]),
    }
    for change in CHANGES:
        kept_here = [figures.stability[change] for figures in found]
        sections[f"Kept its class: {change}"] = _table(found, names, kept_here, "least", min)
    parts = [f"## {title}\n\n{table}" for title, table in sections.items()]
    parts.append("\n".join(["## Networks\n", *(f"- {each.student.name}: {each.network}" for each in found)]))
    return "\n\n".join(parts) + "\n"


def _table(
    found: list[Figures],
    rows: Iterable[str],
    columns: list[dict[str, float]],
    extreme: str = "",
    of: Callable[[Iterable[float]], float] = min,
) -> str:
    """Markdown table: a column for each model; below it the mean, and the least or most, where there is such a thing."""
    head = ["", *(figures.student.name for figures in found)]
    lines = [[row, *(f"{column[row]:.3f}" if row in column else "-" for column in columns)] for row in rows]
    if extreme:
        lines.append(["**mean**", *(f"**{np.mean([*column.values()]):.3f}**" for column in columns)])
        lines.append([extreme, *(f"{of(column.values()):.3f}" for column in columns)])
    return "\n".join(markdown_table(head, lines))


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--threads", default=2, show_default=True)
def main(models: tuple[str, ...], data: Path, out: Path, threads: int) -> None:
    """Write the tables of some model bundles, and contact sheets of the last."""
    torch.set_num_threads(threads)
    places = by_place(validation_patches(data))
    found = [measure(Student.of(model), places, data) for model in models]
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.md").write_text(report(found))
    for name, patches in places.items():
        write_sheet(out / f"{name}.png", found[-1].student, name, patches)
    for figures in found:
        f1, _ = macro_f1(figures.places)
        click.echo(f"{figures.student.name:24s} agreement {figures.agreement:.4f}  macro-F1 {f1:.4f}")


if __name__ == "__main__":
    main()
