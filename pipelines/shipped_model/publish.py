"""Turn a run of `lulc train` into the bundle that ships with lulc, measured, with a full card.

python pipelines/shipped_model/publish.py --run BUNDLE_WITH_HEAD --data DATA --bundle lulc/model/pretrained/dw9-s2-10m
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from agreement import Place, compare, macro_f1
from data import by_place, validation_patches
from evaluate import Figures, Places, label_groups, measure
from other_labels import group_calibration_error
from student import Student

from lulc.legend import load_legend
from lulc.model.bundle import load_bundle, write_bundle

VERSION = "2.0"
SUMMARY = "Small U-Net of stride 4 for nine land-cover classes at 10 m, with a cloud head; a student of Google's Dynamic World model"

GOOD_AT = (
    "open water, built-up areas, closed forest, large fields, sand, snowy forest",
    "places on six continents: trained on chips of 58 places, measured on 13 that it never saw",
    "stride 4, and a branch that sees one pixel: a shift by one pixel changes 3 % of the classes, on most ground less",
    "Level-1C and Level-2A alike: trained on both, with simulated atmospheres down to a low winter sun",
    "clouds: its cloud head flags 95 % of them (mean of four regions) and half of their shadows; snow, sand, roofs and beaches are rarely taken for them",
    "whole scenes: half receptive field {half} px, no global pooling, so tiles with that halo agree exactly",
)
BAD_AT = (
    "clouds have no class: what is flagged in the band clouds has the class of what shines through, often bare or snow",
    "shadows of hills in low winter sun: up to an eighth of such a scene is flagged as if a cloud threw them",
    "trees among small fields: at Aberystwyth it finds a quarter of those that the teacher sees, version 1.1 half",
    "scrub in winter woods, scree and polar gravel: version 1.1 agrees more with the teacher there",
    "burnt ground and smoke: not in training",
    "grass against crops, and shrub against both: the weak pairs on places that it has not seen",
    "flooded vegetation: hardly any in training and validation",
    "roads and streams thinner than 20 m: the teacher swallows most of them, and so does its student",
    "Level-3A composites: not in training; clearings of up to 100 m in the forest of Bouconne come out as trees",
    "it inherits the teacher's opinion, which is itself a model's: 'agreement' is with the teacher, not with the ground",
)
CAVEATS = (
    "the recipe was chosen among variants on these validation places",
    "the temperature was fitted and calibration errors measured on the same validation places",
    "one run of the recipe: the mean of six runs, chosen among variants that differ by about 0.01 from seed to seed",
    "the Australian validation rows belong to a training scene and are nearly all bare",
    "labels that are not the teacher's: EuroSAT patch names, a classifier's map of Aberystwyth, LUCAS survey points",
)
DYNAMIC_WORLD = (
    "This dataset is produced for the Dynamic World Project by Google in partnership with National Geographic Society "
    "and the World Resources Institute."
)
"""Asked for by the Dynamic World project, word for word."""

ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2015-2023.",
    DYNAMIC_WORLD,
    "Labels: Dynamic World model (github.com/google/dynamicworld, Apache-2.0), doi:10.1038/s41597-022-01307-4.",
    "EuroSAT (Helber et al. 2019; github.com/phelber/EuroSAT, MIT).",
    "Survey points: LUCAS 2018, Eurostat.",
)
LICENCE = "MIT, with the attributions of this card"

TRAINING_DATA = (
    "1,120 patches of 64 px of a European Level-2A set around St Gallen",
    "175 EuroSAT multispectral patches, Europe, Level-1C",
    "Aquileia (Italy) 2019-04-16, Level-2A, 1200 x 689",
    "Australia 2018-12-01, Level-2A, rows 0-319 of 358 x 520",
    "1,312 chips of 54 places on six continents, Level-1C and Level-2A",
    "46,000 points of the LUCAS survey 2018, one pixel each, Level-1C",
)


def calibrated_temperature(student: Student, places: list[Place], places_of: Places, data: Path) -> float:
    """The temperature with the least calibration error: of the places against the teacher's class, and of other labels.

    Both weigh the same. The teacher is humble, so its class alone would call for more confidence than other labels bear.
    """
    groups = label_groups(student, places_of, data).values()

    def error(temperature: float) -> float:
        teacher = [place.calibration_error(temperature) for place in places]
        others = [group_calibration_error(*group, temperature) for group in groups]
        return float(np.mean(teacher) + np.mean(others))

    return float(min(np.arange(0.2, 1.5, 0.02), key=error))


def card_metrics(figures: Figures) -> dict[str, Any]:
    """What the card says of the figures."""
    mean_f1, f1 = macro_f1(figures.places)
    errors = {place.name: place.calibration_error(figures.student.temperature) for place in figures.places}
    metrics = {
        "against": "most probable class of the teacher, on places that were not trained on",
        "mean_agreement": figures.agreement,
        "agreement": {place.name: place.agreement for place in figures.places},
        "macro_f1": mean_f1,
        "f1": f1,
        "calibration_error": {"mean": np.mean([*errors.values()]), "worst": max(errors.values()), **errors},
        "other_labels": figures.other,
        "kept_its_class": {
            change: {"mean": np.mean([*kept.values()]), "least": min(kept.values())}
            for change, kept in figures.stability.items()
        },
        "network": figures.network,
    }
    return rounded(metrics)


def rounded(value: Any, digits: int = 4) -> Any:  # noqa: ANN401 - nested JSON
    """The same nested structure with short floats."""
    if isinstance(value, dict):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    return round(float(value), digits) if isinstance(value, float) else value


def publish(run: Path, data: Path, bundle: Path) -> Figures:
    """Measure the model of a training run and write it with a full card."""
    trained, places = load_bundle(run), by_place(validation_patches(data))
    card, student = trained.card, Student(bundle.name, trained.network, trained.card.features)
    found = [compare(student, name, patches) for name, patches in places.items()]
    student.temperature = round(calibrated_temperature(student, found, places, data), 3)
    figures = measure(student, places, data)
    training = {**card.training, "data": TRAINING_DATA, "validation": list(places), "caveats": CAVEATS}
    write_bundle(
        bundle,
        trained.network,
        name=bundle.name,
        version=VERSION,
        summary=SUMMARY,
        architecture=card.architecture,
        features=card.features,
        legend=load_legend("dynamic-world").to_table(),
        input_levels=("L1C", "L2A"),
        resolution_m=10.0,
        temperature=student.temperature,
        good_at=tuple(line.format(half=student.half_field) for line in GOOD_AT),
        bad_at=BAD_AT,
        training=training,
        metrics=card_metrics(figures) | rounded({"cloud_head": card.metrics["cloud_head"]}),
        attribution=ATTRIBUTION,
        licence=LICENCE,
    )
    return figures


@click.command()
@click.option("--run", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(run: Path, data: Path, bundle: Path) -> None:
    """Write the shipped bundle from a run of `lulc train`."""
    figures = publish(run, data, bundle)
    click.echo(f"{bundle}: agreement {figures.agreement:.4f}, temperature {figures.student.temperature}")


if __name__ == "__main__":
    main()
