"""How often the intervals of zones hold the truth, by their two limits; prints Markdown.

python benchmarks/zone_intervals.py [--zones 150] [--samples 5]

Every zone has five map classes, of areas and confusions drawn by chance. A sample of a few points a class, proportional to
its area or the same of all, is labelled by the truth again and again. The limits are the fewest points of a class and of a
zone in `lulc/metrics/zone_estimate.py`.
"""

import argparse

import numpy as np

from lulc.metrics import zone_estimate
from lulc.metrics.area_estimate import LabelledPoints

_CLASSES = 5
_RARE = 0.05
_SAMPLES = (("proportional", 15), ("proportional", 35), ("proportional", 80), ("equal", 60))


def coverage(draw: str, points: int, zones: int, samples: int) -> tuple[float, float, float, float]:
    """Share of intervals that hold the truth, of those of rare classes, share of zones with an estimate, mean width."""
    rng = np.random.default_rng(0)
    hits, rare, widths, known = [], [], [], 0
    for _ in range(zones):
        areas = rng.dirichlet(np.full(_CLASSES, 0.7))
        accuracy = rng.uniform(0.6, 0.98, _CLASSES)
        confusion = rng.dirichlet(np.full(_CLASSES, 0.5), _CLASSES) * (1 - accuracy)[:, None] + np.diag(accuracy)
        truth = areas @ confusion
        expected = areas if draw == "proportional" else np.minimum(1, 20 * areas) / _CLASSES
        for _ in range(samples):
            mapped = np.repeat(np.arange(_CLASSES), rng.poisson(points * expected))
            reference = (rng.random(len(mapped))[:, None] > np.cumsum(confusion[mapped], axis=1)).sum(axis=1) + 1
            labelled = LabelledPoints(mapped + 1, mapped + 1, np.minimum(reference, _CLASSES), np.ones(len(mapped)))
            found = zone_estimate.estimate_zone(labelled, areas)
            if found.shares is None:
                continue
            known += 1
            for share, value in zip(found.shares, truth, strict=True):
                hits.append(share.low <= value <= share.high)
                rare += [hits[-1]] if value < _RARE else []
                widths.append(share.high - share.low)
    return (
        float(np.mean(hits or [np.nan])),
        float(np.mean(rare or [np.nan])),
        known / zones / samples,
        float(np.mean(widths or [np.nan])),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=150)
    parser.add_argument("--samples", type=int, default=5)
    chosen = parser.parse_args()
    print(
        "| points of a class | of a zone | sample | hold the truth | rare classes | zones with an estimate | mean width |"
    )
    print("|---|---|---|---|---|---|---|")
    for of_class in (2, 3, 5):
        for of_zone in (10, 20, 30):
            zone_estimate.FEWEST_IN_CLASS, zone_estimate.FEWEST_POINTS = of_class, of_zone
            for draw, points in _SAMPLES:
                cells = coverage(draw, points, chosen.zones, chosen.samples)
                row = " | ".join(f"{cell:.3f}" for cell in cells)
                print(f"| {of_class} | {of_zone} | {points}, {draw} | {row} |", flush=True)


if __name__ == "__main__":
    main()
