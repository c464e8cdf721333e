"""Exported models: they answer as the bundle does, on real pixels, for tiles of any size; what other programs read of them."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
import torch

from lulc.errors import ModelError, StorageError, UsageError
from lulc.model.build import Architecture, build_network
from lulc.model.bundle import load_bundle, write_bundle
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.model.exchange.export import Classifier, export_model
from tests.support import command

pytestmark = pytest.mark.torch

SCENE = "australia_20181201_l2a_12band.tif"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped model as ONNX and PT2."""
    folder = tmp_path_factory.mktemp("exported")
    reports = [export_model("dw9-s2-10m", folder / name) for name in ("m.onnx", "m.pt2")]
    assert [report.output for report in reports] == [str(folder / "m.onnx"), str(folder / "m.pt2")]
    return folder


def pixels(data, bands, rows, cols):
    """Digital numbers of a real scene, float32 (1, bands, rows, cols); the scene has a corner without data."""
    with rasterio.open(data / "scenes" / SCENE) as scene:
        numbers = [scene.descriptions.index(name) + 1 for name in bands]
        return scene.read(numbers, window=((0, rows), (0, cols))).astype(np.float32)[None]


def answer_of(bundle, image):
    """Probabilities as `lulc classify` computes them."""
    card = bundle.card
    given = torch.from_numpy(image)
    valid = (given != 0).any(dim=1)
    planes = {name: given[:, number] / 10_000 for number, name in enumerate(card.features.required(()))}
    with torch.inference_mode():
        logits = bundle.network(network_channels(card.features, planes, REFLECTANCE, valid))
        return torch.softmax(logits / card.temperature, dim=1).numpy()


@pytest.mark.parametrize(("rows", "cols"), [(64, 64), (256, 300), (512, 352)])
def test_both_answer_as_the_bundle_does(exported, data, rows, cols):
    bundle = load_bundle()
    image = pixels(data, bundle.card.features.bands, rows, cols)
    expected = answer_of(bundle, image)
    session = onnxruntime.InferenceSession(exported / "m.onnx", providers=["CPUExecutionProvider"])
    (by_onnx,) = session.run(None, {"image": image})
    by_torch = torch.export.load(exported / "m.pt2").module()(torch.from_numpy(image)).numpy()
    assert expected.shape == by_onnx.shape == (1, 9, rows, cols)
    assert np.abs(by_onnx - expected).max() < 1e-4
    assert np.abs(by_torch - expected).max() < 1e-4


def test_several_images_at_once(exported, data):
    session = onnxruntime.InferenceSession(exported / "m.onnx", providers=["CPUExecutionProvider"])
    image = pixels(data, load_bundle().card.features.bands, 128, 128)
    both = np.concatenate([image, image[..., ::-1]])
    (found,) = session.run(None, {"image": both})
    np.testing.assert_allclose(found[0], session.run(None, {"image": image})[0][0], atol=1e-5)


def test_what_other_programs_read(exported):
    model = onnx.load(exported / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    stated = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    card = load_bundle().card
    assert stated["model_type"] == "Segmentor"
    assert [stated["class_names"][str(number)] for number in range(9)] == list(card.classes.names)
    assert stated["resolution"] == 1000.0  # Deepness counts in centimetres
    assert stated["weights_sha256"] == card.weights_sha256
    scale = np.array(stated["standardization_std"])
    np.testing.assert_allclose(200 / 255 / scale, 200)  # as Deepness prepares a pixel
    assert stated["tile_size"] % 4 == 0
    extra = {"card.json": ""}
    torch.export.load(exported / "m.pt2", extra_files=extra)
    assert json.loads(extra["card.json"])["weights_sha256"] == card.weights_sha256


def with_network(folder, build=build_network, **fields):
    """A bundle of another network, with the shipped model's card, and indices among its channels."""
    card = load_bundle().card
    spec = card.features.model_copy(
        update={"indices": ("NDVI",), "mean": (*card.features.mean, 0.3), "std": (*card.features.std, 0.2)}
    )
    architecture = Architecture(in_channels=10, classes=9, **fields)
    torch.manual_seed(0)
    stated = card.model_dump(
        exclude={"weights_sha256", "weights_bytes", "familiarity_sha256", "architecture", "features"}
    )
    write_bundle(folder, build(architecture).eval(), architecture=architecture, features=spec, **stated)
    return folder


def test_a_network_of_smp_with_an_index(tmp_path, data):
    folder = with_network(tmp_path / "unet", network="Unet", encoder="resnet18", encoder_depth=5)
    report = export_model(folder, tmp_path / "unet.onnx")
    bundle = load_bundle(folder)
    image = pixels(data, report.bands, 128, 160)
    session = onnxruntime.InferenceSession(tmp_path / "unet.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"image": image})[0], answer_of(bundle, image), atol=1e-4)


def test_a_layer_that_has_no_counterpart_is_one_line(tmp_path, monkeypatch):
    """A network whose layers depend on the pixels cannot be a program."""

    def forward(self, image):
        return self.network(image) if float(image.sum()) > 0 else self.network(image) * 2

    monkeypatch.setattr(Classifier, "forward", forward)
    with pytest.raises(ModelError, match="cannot be exported") as refused:
        export_model("dw9-s2-10m", tmp_path / "m.onnx")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_refusals(tmp_path):
    with pytest.raises(UsageError, match=r"end it in \.onnx or \.pt2"):
        export_model("dw9-s2-10m", tmp_path / "m.tflite")
    (tmp_path / "m.onnx").write_text("mine")
    with pytest.raises(StorageError, match="exists"):
        export_model("dw9-s2-10m", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "mine"
    with pytest.raises(ModelError, match="no model bundle"):
        export_model("nobody", tmp_path / "n.onnx")


def test_on_the_command_line(tmp_path):
    run = command.lulc("export", "dw9-s2-10m", tmp_path / "m.pt2")
    assert (run.returncode, run.stderr) == (0, "")
    assert "reflectance x 10000: B02, B03" in run.stdout
