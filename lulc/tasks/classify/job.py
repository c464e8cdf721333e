"""The plan of a classification, made before a pixel is read or written."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from lulc.errors import InputError
from lulc.io.cog.assembly import CogLayout
from lulc.io.files.fingerprint import code_fingerprint, file_fingerprint, json_fingerprint, named_fingerprint
from lulc.io.files.names import listed
from lulc.io.product.bands import CLOUDS, FAMILIARITY, SETS_TAG, TRUST_TAG, ExtraBand, band_infos
from lulc.io.product.writer import product_layout
from lulc.io.scene.acquired import span
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, Card
from lulc.model.device import Placement, affordable_batch, choose_placement
from lulc.model.predictor import workers_on
from lulc.model.provenance import check_names, compatibility_warnings, input_kind, provenance
from lulc.model.receptive_field import ReceptiveField, measure_receptive_field
from lulc.model.trust.beside import Beside, Sets, Trust
from lulc.model.trust.calibration import read_calibration
from lulc.tasks.classify.fit import DEFAULT_CORE, fit_memory
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import Series
from lulc.tasks.stack.on_grid import Donor
from lulc.threads import usable_cores
from lulc.tiling import TilePlan, round_up

LOOKS = ExtraBand("looks", "code", "number of dates")
"""Extra band of a map of several dates: how many of them show a pixel."""

LEFT_OUT_BY = "--clouds network leaves them out"
"""What to do about a map of many clouds."""

_FLAGGED = "network, flagged in the band clouds"
_FALLBACK_HALO = 64
_FALLBACK_FADE = 32
_DEAREST_EXACT_COST = 2.0


@dataclass(frozen=True)
class Job:
    """A planned classification.

    Attributes:
        options: Options as given.
        bundle: Card and network of the model; it tells clouds where they are flagged or left out by it.
        names: Bands and indices read from each scene, in order.
        readers: Each date in order of acquisition, read on the grid of the map; a single scene is one.
        beside: What computes the bands behind the activations that speak of trust.
        extra: Bands behind the activations, in order.
        plan: Tiles and chunks of the scene.
        receptive_field: Receptive field and stride of the network.
        placement: Devices and precision of the network.
        in_flight: Chunks that begin while an earlier one is waited for, as `Fit.in_flight`.
        window_bytes: Memory that the forward pass of one window takes on its device, bytes.
        peak_bytes: Predicted peak of main memory, bytes.
        product_bytes: Upper bound of the product's size, overviews included, bytes.
        notes: Choices with their reasons and warnings, one line each.
        tags: Provenance tags of the product.
        fingerprint: Over everything that decides the product's bytes, of `named_fingerprint`.
    """

    options: ClassifyOptions
    bundle: Bundle
    names: tuple[str, ...]
    readers: tuple[Donor, ...]
    beside: tuple[Beside, ...]
    extra: tuple[ExtraBand, ...]
    plan: TilePlan
    receptive_field: ReceptiveField
    placement: Placement
    in_flight: int
    window_bytes: int
    peak_bytes: int
    product_bytes: int
    notes: tuple[str, ...]
    tags: dict[str, str]
    fingerprint: str

    @property
    def card(self) -> Card:
        """Card of the model."""
        return self.bundle.card

    @property
    def layout(self) -> CogLayout:
        """Layout of the product.

        Raises:
            UsageError: A creation option is not known or does not fit.
        """
        options = self.options
        return product_layout(
            self.plan.shape, self.card.classes, options.activations, options.creation_options, self.extra
        )

    @property
    def independent(self) -> bool:
        """True when every window is finished by itself."""
        return self.in_flight > 0

    def batch_on(self, placement: Placement) -> int:
        """Windows per forward pass on one of its devices."""
        lanes = workers_on(placement, self.options.threads)
        return self.options.batch or affordable_batch(placement.device, self.window_bytes, lanes)

    def summary(self) -> dict[str, Any]:
        """The plan as JSON values, as `--plan` prints it: sizes in pixels, memory in bytes."""
        plan = self.plan
        return {
            "scene": [plan.shape.height, plan.shape.width],
            "dates": len(self.readers),
            "window": plan.window,
            "core": plan.core,
            "halo": plan.halo,
            "blend": plan.fade,
            "half_receptive_field": self.receptive_field.half_field if self.receptive_field.bounded else None,
            "exact": self.receptive_field.bounded and plan.halo >= self.receptive_field.half_field,
            "stride": plan.stride,
            "windows": sum(len(chunk.tiles) for chunk in plan.chunks()),
            "chunks": plan.chunk_count,
            "cost_factor": round(plan.cost, 4),
            "device": self.placement.name,
            "precision": self.placement.precision,
            "predicted_peak_bytes": self.peak_bytes,
            "predicted_output_bytes": self.product_bytes,
            "notes": list(self.notes),
        }


def plan_job(series: Series, bundle: Bundle, options: ClassifyOptions, placement: Placement | None = None) -> Job:
    """Plan a classification; nothing is written.

    Args:
        series: The input.
        bundle: Card and network of the model.
        options: Options of the run.
        placement: Device and precision when another machine runs the network; None chooses for this machine.

    Raises:
        InputError: A scene lacks bands or a georeference, or a date does not overlap the first.
        ModelError: The model is to tell clouds, and has no cloud head.
        UsageError: Options contradict each other, or the device or precision is not available.
        LimitError: No window fits into `max_memory`.
    """
    bundle, beside = _with_trust(bundle, options)
    card = bundle.card
    extra = (*(band for one in beside for band in one.bands), *_extra(series, card, options))
    if CLOUDS in extra or any(date.by_network for date in series.dates):
        bundle = bundle.with_clouds()
    names = _names(series, card)
    notes = _input_notes(series, card, options)
    placement = placement or choose_placement(options.device, options.precision)
    receptive_field = measure_receptive_field(bundle.network, len(card.features.channels), total_stride(bundle.network))
    halo, fade, why = choose_halo(receptive_field, options)
    readers = series.readers(names)
    depth = 4 if options.activations == "float32" else 1
    pixel = depth * len(band_infos(card.classes, options.activations, extra))
    fit = fit_memory(series, bundle, options, names, (halo, fade), placement, receptive_field.stride, pixel)
    plan = fit.plan
    notes += [why, f"every pixel is seen {plan.cost:.2f} times by the network", *_unknowing(bundle, options)]
    if placement.others and not fit.in_flight:
        notes.append(
            f"{placement.device} works alone: several dates, or windows that fade into each other, are joined on it"
        )
    tags = _tags(series, card, options, plan, placement) | _tags_of_trust(extra, beside, options)
    return Job(
        options=options,
        bundle=bundle,
        names=names,
        readers=readers,
        beside=beside,
        extra=extra,
        plan=plan,
        receptive_field=receptive_field,
        placement=placement,
        in_flight=fit.in_flight,
        window_bytes=fit.window_bytes,
        peak_bytes=fit.peak_bytes,
        product_bytes=plan.shape.size * pixel * 4 // 3,
        notes=tuple(notes),
        tags=tags,
        fingerprint=_fingerprint(series, card, options, plan, tags),
    )


def choose_halo(receptive_field: ReceptiveField, options: ClassifyOptions) -> tuple[int, int, str]:
    """Choose the halo and the width of the cross-fade for a network.

    The exact halo is taken unless the network would see every pixel more than twice. In that case, and for an unbounded
    receptive field, it is 64 px with a narrow cross-fade.

    Args:
        receptive_field: Receptive field and stride of the network.
        options: Halo and cross-fade as given, pixels.

    Returns:
        Halo and width of the cross-fade, pixels, and the reason in words.
    """
    exact = receptive_field.halo
    affordable = ((DEFAULT_CORE + 2 * exact) / DEFAULT_CORE) ** 2 <= _DEAREST_EXACT_COST
    if options.halo is not None:
        halo = round_up(options.halo, receptive_field.stride)
        why = f"halo {halo} px as asked"
    elif receptive_field.bounded and affordable:
        halo = exact
        why = f"halo {halo} px: half the receptive field is {receptive_field.half_field} px, so windows agree exactly"
    elif receptive_field.bounded:
        halo = round_up(_FALLBACK_HALO, receptive_field.stride)
        why = f"halo {halo} px: half the receptive field is {receptive_field.half_field} px, which would cost too much; seams are faint, not absent"
    else:
        halo = round_up(_FALLBACK_HALO, receptive_field.stride)
        why = f"halo {halo} px: the network uses statistics of the whole window, so no halo is exact"
    is_exact = receptive_field.bounded and halo >= receptive_field.half_field
    fade = options.blend if options.blend is not None else 0 if is_exact else min(_FALLBACK_FADE, halo)
    return halo, fade, why


def _extra(series: Series, card: Card, options: ClassifyOptions) -> tuple[ExtraBand, ...]:
    if series.counted:
        return (LOOKS,)
    return (CLOUDS,) if options.clouds == "auto" and card.architecture.sees_clouds else ()


def _tags_of_trust(extra: Sequence[ExtraBand], beside: Sequence[Beside], options: ClassifyOptions) -> dict[str, str]:
    digest = file_fingerprint(options.calibration, times=False).hex() if options.calibration else ""
    return _stated(
        {
            "LULC_CLOUDS": _FLAGGED if CLOUDS in extra else "",
            TRUST_TAG: ", ".join(band.name for one in beside for band in one.bands),
            "LULC_CALIBRATION_SHA256": digest,
            SETS_TAG: f"{options.sets:g}" if options.sets is not None else "",
        }
    )


def _unknowing(bundle: Bundle, options: ClassifyOptions) -> list[str]:
    if not options.trust or bundle.familiarity is not None:
        return []
    return [f"{bundle.card.name} has no statistics of its training, so the map has no band {FAMILIARITY.name}"]


def _with_trust(bundle: Bundle, options: ClassifyOptions) -> tuple[Bundle, tuple[Beside, ...]]:
    """The model as its calibration has it, and what computes the bands of trust."""
    beside: list[Beside] = []
    if options.trust:
        bundle = bundle.with_familiarity()
        beside.append(Trust(familiarity=bundle.familiarity is not None))
    if options.calibration is not None:
        calibration = read_calibration(options.calibration)
        calibration.check(bundle.card.weights_sha256, bundle.card.classes.names, options.calibration)
        bundle = bundle.with_temperature(calibration.temperature)
        if options.sets is not None:
            beside.append(Sets(calibration.thresholds(options.sets)))
    return bundle, tuple(beside)


def _names(series: Series, card: Card) -> tuple[str, ...]:
    names = card.features.required(series.names)
    for date in series.dates:
        check_names(date.scene, card, names)
    return names


def _input_notes(series: Series, card: Card, options: ClassifyOptions) -> list[str]:
    if not series.grid.georeferenced and not options.allow_no_georef:
        raise InputError(
            f"{series.first.info.name} has no CRS, ground control points or RPCs",
            "georeference it first, or accept a map without georeference with --allow-no-georef",
        )
    for date in series.dates:
        date.scene.check_reflectance()
    return input_warnings(series, card)


def input_warnings(series: Series, card: Card) -> list[str]:
    """Warnings about the scenes, and about what a model was not trained for; each once, with the dates it is about."""
    about: dict[str, list[str]] = {}
    for date in series.dates:
        for warning in (*date.warnings, *date.scene.warnings, *compatibility_warnings(date.scene, card)):
            about.setdefault(warning, []).append(date.info.name)
    if len(series.dates) == 1:
        return list(about)
    return [
        warning if names[0] in warning else f"{names[0]}{_more(len(names) - 1)}: {warning}"
        for warning, names in about.items()
    ]


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _tags(series: Series, card: Card, options: ClassifyOptions, plan: TilePlan, placement: Placement) -> dict[str, str]:
    return _input_tags(series, card) | {
        "LULC_WINDOW": str(plan.window),
        "LULC_HALO": str(plan.halo),
        "LULC_BLEND": str(plan.fade),
        "LULC_DEVICE": placement.device.type,
        "LULC_PRECISION": placement.precision,
        "LULC_ACTIVATIONS": options.activations,
    }


def _input_tags(series: Series, card: Card) -> dict[str, str]:
    """Provenance of a map of one scene, or of several dates: what holds of all, then of each, numbered from 1."""
    dates = series.dates
    tags = provenance(dates[0].scene, card)
    if not series.counted:
        return tags | _stated(dates[0].tags())
    each: dict[str, str] = {}
    for number, date in enumerate(dates, start=1):
        each |= {f"LULC_INPUT_KIND_{number}": input_kind(date.scene), **date.tags(f"_{number}")}
    together = {
        "LULC_INPUT": listed([date.info.name for date in dates]),
        "LULC_INPUT_SHA256": json_fingerprint([date.scene.fingerprint(times=False) for date in dates]),
        "LULC_ACQUIRED": span(date.info.acquired for date in dates),
        "LULC_DATES": str(len(dates)),
    }
    if not all(date.scene.grid.same_as(series.grid) for date in dates):  # then the order of the inputs matters
        together["LULC_GRID_OF"] = series.first.info.name
    of_each = {name.removesuffix("_1") for name in each}
    return {name: text for name, text in tags.items() if name not in of_each} | together | _stated(each)


def _stated(tags: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in tags.items() if text}


def _fingerprint(series: Series, card: Card, options: ClassifyOptions, plan: TilePlan, tags: dict[str, str]) -> str:
    return named_fingerprint(
        {
            "input": [*series.fingerprint(), repr(series.grid)],
            "model": card.model_dump(mode="json"),
            "lulc": code_fingerprint(),
            "torch": version("torch"),
            "threads": options.threads or usable_cores(),
            "settings": [
                tags,
                [plan.shape.height, plan.shape.width],
                plan.core,
                options.batch,
                options.creation_options,
            ],
        }
    )
