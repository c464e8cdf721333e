import json
import os
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
import torch

from lulc.errors import ModelError
from lulc.features import FeatureSpec
from lulc.legend import load_legend
from lulc.model import weights
from lulc.model.build import Architecture, build_network
from lulc.model.bundle import load_bundle, read_card, write_bundle
from lulc.model.bundle_files import CARD, WEIGHTS, locate

BANDS = ("B02", "B03", "B04")


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    architecture = Architecture(
        network="Unet",
        encoder="tu-resnet10t",
        in_channels=3,
        classes=9,
        encoder_depth=3,
        options={"decoder_channels": [16, 8, 8]},
    )
    folder = tmp_path / "small"
    write_bundle(
        folder,
        build_network(architecture),
        name="small",
        version="1",
        summary="for tests",
        architecture=architecture,
        features=FeatureSpec(bands=BANDS, mean=(0.1,) * 3, std=(0.1,) * 3),
        legend=load_legend("dynamic-world").to_table(),
    )
    return folder


def zipped(folder, target, **extra):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (CARD, WEIGHTS):
            archive.write(folder / name, f"small/{name}")
        for name, content in extra.items():
            archive.writestr(name, content)
    return target


def change_card(folder, **fields):
    card = json.loads((folder / CARD).read_text())
    card.update(fields)
    (folder / CARD).write_text(json.dumps(card))


def test_folder_and_zip_give_the_same_network(bundle, tmp_path):
    image = torch.rand(1, 3, 64, 64)
    answers = [load_bundle(path).network(image) for path in (bundle, zipped(bundle, tmp_path / "small.zip"))]
    assert torch.equal(*answers)


def test_layers_that_never_run_are_not_stored(bundle):
    network = load_bundle(bundle).network
    network.zero_grad()
    image = torch.rand(1, 3, 64, 64)
    network.requires_grad_(requires_grad=True)(image).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("position", [0, 8, 1000, -1])
def test_one_flipped_byte_in_the_weights_is_refused(bundle, position):
    content = bytearray((bundle / WEIGHTS).read_bytes())
    content[position] ^= 1
    (bundle / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match=r"not the file that card\.json describes"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"resolution_m": float("nan")}, "resolution_m"),
        ({"name": "../../etc"}, "name"),
        ({"weights_sha256": "abc"}, "weights_sha256"),
        ({"weights_bytes": 10**12}, "weights_bytes"),
        ({"legend": {"name": "x", "classes": []}}, "legend"),
    ],
)
def test_a_wrong_card_is_refused_naming_the_field(bundle, fields, message):
    change_card(bundle, **fields)
    with pytest.raises(ModelError, match=message):
        read_card(bundle)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["mean", "std"])
def test_normalisation_by_no_number_is_refused(bundle, name, wrong):
    features = json.loads((bundle / "card.json").read_text())["features"]
    change_card(bundle, features=features | {name: [wrong, *features[name][1:]]})
    with pytest.raises(ModelError, match=rf"features\.{name}"):
        read_card(bundle)


def test_channels_that_do_not_match_the_network_are_refused(bundle):
    spec = {"sensor": "sentinel-2", "bands": ["B02"], "indices": [], "mean": [0.1], "std": [0.1]}
    change_card(bundle, features=spec)
    with pytest.raises(ModelError, match="takes 3 channels, the features are 1"):
        read_card(bundle)


def test_a_legend_that_does_not_match_the_network_is_refused(bundle):
    change_card(bundle, legend={"name": "x", "classes": [{"code": 1, "name": "all", "color": "#123456"}]})
    with pytest.raises(ModelError, match="gives 9 classes, the legend has 1"):
        read_card(bundle)


def test_a_card_that_is_too_large_is_not_read(bundle):
    os.truncate(bundle / CARD, 1 << 30)
    with pytest.raises(
        ModelError, match=r"cannot read card\.json: it holds 1073741824 bytes, at most \d+ are expected"
    ):
        read_card(bundle)


def test_weights_of_another_network_are_refused(bundle):
    card = json.loads((bundle / CARD).read_text())
    card["architecture"]["options"] = {"decoder_channels": [32, 8, 8]}
    (bundle / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="do not fit"):
        load_bundle(bundle)


def test_an_unknown_encoder_is_refused(bundle):
    card = json.loads((bundle / CARD).read_text())
    card["architecture"]["encoder"] = "resnet999"
    (bundle / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="no encoder 'resnet999'"):
        load_bundle(bundle)


def test_a_zip_bomb_is_refused_before_it_unpacks(bundle, tmp_path):
    (bundle / WEIGHTS).write_bytes(bytes(200 << 20))
    change_card(bundle, weights_bytes=200 << 20)
    with pytest.raises(ModelError, match="would unpack"):
        load_bundle(zipped(bundle, tmp_path / "bomb.zip"))


def test_two_cards_in_a_zip_are_refused(bundle, tmp_path):
    with pytest.raises(ModelError, match=r"2 files named card\.json"):
        read_card(zipped(bundle, tmp_path / "two.zip", **{"other/card.json": "{}"}))


def test_no_bundle_there(tmp_path):
    with pytest.raises(ModelError, match=r"no model bundle .*give a folder or zip"):
        locate(tmp_path / "nothing")


GROWTH_MB = 300
"""Most memory, MB, that refusing a bundle may take beside what torch takes."""


def peak_growth_mb(*folders):
    """Main memory that a process takes to refuse bundles, beyond that of building a small network first."""
    code = f"""
import resource
from lulc.errors import ModelError
from lulc.model.bundle import load_bundle
from lulc.model.build import build_network, Architecture
build_network(Architecture(network="Unet", encoder="tu-resnet10t", in_channels=3, classes=9))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = 0
for folder in {list(map(str, folders))}:
    try:
        load_bundle(folder)
    except ModelError:
        refused += 1
assert refused == {len(folders)}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def _folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_pipe, _endless, _folder])
@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_what_is_no_regular_file_is_refused_at_once(bundle, name, spoil):
    spoil(bundle / name)
    started = time.monotonic()
    with pytest.raises(ModelError, match=f"cannot read {name}: it is no regular file"):
        load_bundle(bundle)
    assert time.monotonic() - started < 5


def test_a_link_to_a_regular_file_is_read(bundle, tmp_path):
    (bundle / WEIGHTS).rename(tmp_path / "elsewhere")
    (bundle / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    load_bundle(bundle)


ABSURD = (
    {"options": {"decoder_channels": [4096, 4096, 4096]}},
    {"options": {"decoder_channels": [1_000_000, 8, 8]}},
    {"options": {"decoder_channels": [8] * 1000}},
    {"options": {"upsampling": 4096}, "network": "PSPNet"},
    {"encoder": "tu-vit_giant_patch14_224", "encoder_depth": 3},
    {"encoder": "tu-convnext_xxlarge", "encoder_depth": 4},
    {"encoder": "tu-resnet152", "encoder_depth": 5},
    {"classes": 10_000_000},
    {"encoder_depth": 10**9},
)


@pytest.mark.process
def test_absurd_architectures_take_no_memory(bundle, tmp_path):
    card = json.loads((bundle / CARD).read_text())
    folders = [tmp_path / f"absurd-{number}" for number in range(len(ABSURD))]
    for folder, architecture in zip(folders, ABSURD, strict=True):
        shutil.copytree(bundle, folder)
        change_card(folder, architecture=card["architecture"] | architecture)
    assert peak_growth_mb(*folders) < GROWTH_MB


@pytest.mark.process
def test_weights_of_a_network_that_is_none_take_no_memory(bundle):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 29], "data_offsets": [0, 1 << 31]}}).encode()
    (bundle / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(bundle / WEIGHTS, 8 + len(header) + (1 << 31))
    change_card(bundle, weights_bytes=8 + len(header) + (1 << 31))
    assert peak_growth_mb(bundle) < GROWTH_MB


def test_a_network_that_drops_most_of_its_weights_is_built(bundle, monkeypatch):
    monkeypatch.setattr(weights, "_MORE", 0)
    monkeypatch.setattr(weights, "_TIMES", 1)
    load_bundle(bundle)


def test_a_zip_packed_in_an_unusual_way_is_refused(bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(bundle / CARD, CARD)
        archive.write(bundle / WEIGHTS, WEIGHTS)
    with pytest.raises(ModelError, match="packed in an unusual way"):
        read_card(tmp_path / "a.zip")
