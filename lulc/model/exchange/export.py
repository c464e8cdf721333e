"""`lulc export`: a model as ONNX, or as a program of torch (PT2), with normalisation, temperature and softmax inside."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from lulc.bands import Radiometry
from lulc.errors import ModelError, UsageError
from lulc.features import FeatureSpec
from lulc.io.files.atomic import staged
from lulc.io.files.outputs import check_outputs
from lulc.io.files.paths import AnyPath, as_path
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, load_bundle
from lulc.model.receptive_field import measure_receptive_field

SUFFIXES = (".onnx", ".pt2")
"""What a model is exported to."""

QUANTIFICATION = 10_000.0
"""Input is reflectance times this."""

_SIDE, _TILE = 128, 512
_OPSET = 20
_CM = 100.0
_BYTE = 255.0


class Classifier(nn.Module):
    """A network that takes reflectance x 10000 and gives probabilities.

    Args:
        bundle: The model; its network is used as it is.

    Attributes:
        bands: Names of the planes of an input, in order.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self._spec: FeatureSpec = bundle.card.features
        self._radiometry = Radiometry(quantification=QUANTIFICATION)
        self._temperature = bundle.card.temperature
        self.bands = bundle.card.features.required(())
        self.network = bundle.network

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities, float32 (n, K, height, width), summing to 1 over K.

        Args:
            image: float32 (n, bands, height, width), reflectance x 10000; sides are multiples of the stride. A pixel whose planes
                are all 0 has no data: the network sees the training mean there.
        """
        planes = {name: image[:, number] for number, name in enumerate(self.bands)}
        channels = torch.stack(self._spec.normalised(planes, self._radiometry, lambda plane: plane), dim=1)
        known = (image != 0).any(dim=1, keepdim=True) & torch.isfinite(channels)
        logits: Tensor = self.network(torch.where(known, channels, torch.zeros_like(channels)))
        return torch.softmax(logits / self._temperature, dim=1)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        output: The file.
        model: Name and version.
        bands: Planes of its input, in order; reflectance x 10000.
        classes: Its outputs, in order.
        stride: Sides of an input are multiples of it, pixels.
        half_field: Half receptive field, pixels: the margin of a tile to throw away.
        bytes: Size of the file.
    """

    output: str
    model: str
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    stride: int
    half_field: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        return "\n".join(
            [
                f"{self.output}: {self.model}, {self.bytes / 1e6:.1f} MB",
                f"input   image (n, {len(self.bands)}, height, width) float32, reflectance x 10000: {', '.join(self.bands)}",
                f"        sides are multiples of {self.stride}; all planes 0 is no data; throw away {self.half_field} px around a tile",
                f"output  probabilities (n, {len(self.classes)}, height, width) float32: {', '.join(self.classes)}",
            ]
        )


def export_model(model: str | Path, output: AnyPath, *, overwrite: bool = False) -> ExportReport:
    """Write a model of `lulc classify` for other programs.

    Args:
        model: Bundle, by path or name.
        output: `.onnx`, read by onnxruntime and the QGIS plug-in Deepness; or `.pt2`, read by `torch.export.load`.
        overwrite: Replace an existing file.

    Raises:
        ModelError: The bundle is refused, or has a layer that the format has not.
        UsageError: Another ending, or what writes ONNX is not installed.
        StorageError: The file exists, or writing failed.
    """
    path = as_path(output)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path.name} is no name for a model of another program", f"end it in {' or '.join(SUFFIXES)}")
    check_outputs([path], [], overwrite=overwrite)
    bundle = load_bundle(model)
    card, stride = bundle.card, total_stride(bundle.network)
    field = measure_receptive_field(bundle.network, len(card.features.channels), stride)
    classifier = Classifier(bundle).eval()
    program = _traced(classifier, stride, card.name)
    with staged(path, overwrite=overwrite) as unfinished:
        if path.suffix.lower() == ".pt2":
            torch.export.save(program, unfinished, extra_files={"card.json": card.model_dump_json()})
        else:
            _write_onnx(program, bundle, unfinished, field.half_field)
    return ExportReport(
        output=str(path),
        model=f"{card.name} {card.version}",
        bands=classifier.bands,
        classes=card.classes.names,
        stride=stride,
        half_field=field.half_field,
        bytes=path.stat().st_size,
    )


def _traced(classifier: Classifier, stride: int, name: str) -> torch.export.ExportedProgram:
    """The network as a program for any number and size of images."""
    image = torch.rand(2, len(classifier.bands), _SIDE, _SIDE + 2 * stride) * QUANTIFICATION
    height, width = stride * Dim("rows", min=2, max=1 << 16), stride * Dim("columns", min=2, max=1 << 16)
    try:
        with (
            torch.enable_grad()
        ):  # without it, networks of our own work row by row to spare memory, which fixes their size
            return torch.export.export(
                classifier, (image,), dynamic_shapes={"image": {0: Dim("images", min=1), 2: height, 3: width}}
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"{name} cannot be exported: {reason}", "its network does what a program of torch cannot hold"
        ) from error


def _write_onnx(program: torch.export.ExportedProgram, bundle: Bundle, path: Path, half_field: int) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401 - what torch writes ONNX with
    except ImportError as error:
        raise UsageError(
            "ONNX needs onnx and onnxscript, which are not installed", "pip install 'lulc[onnx]'"
        ) from error
    with _quiet():
        try:
            written = torch.onnx.export(
                program, input_names=["image"], output_names=["probabilities"], opset_version=_OPSET, verbose=False
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:120]
            raise ModelError(
                f"{bundle.card.name} has a layer that ONNX has not: {reason}", "export it as .pt2"
            ) from error
    assert written is not None
    model = written.model_proto
    for key, value in deepness_metadata(bundle, half_field).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def deepness_metadata(bundle: Bundle, half_field: int) -> dict[str, str]:
    """What the QGIS plug-in Deepness reads from an ONNX file, and where the model comes from.

    Deepness divides pixels by 255 before it standardises them; a deviation of 1/255 makes reflectance x 10000 of them again.
    """
    card, bands = bundle.card, len(bundle.card.features.required(()))
    values = {
        "model_type": "Segmentor",
        "class_names": {str(number): name for number, name in enumerate(card.classes.names)},
        "resolution": (card.resolution_m or 10.0) * _CM,
        "tile_size": _TILE,
        "tiles_overlap": round(100 * 2 * half_field / _TILE),
        "standardization_mean": [0.0] * bands,
        "standardization_std": [1 / _BYTE] * bands,
        "bands": list(card.features.required(())),
        "input": "reflectance x 10000",
        "model": f"{card.name} {card.version}",
        "weights_sha256": card.weights_sha256,
        "attribution": list(card.attribution),
        "licence": card.licence,
    }
    return {key: json.dumps(value) for key, value in values.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of its own progress."""
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger("torch.onnx").setLevel(level)
