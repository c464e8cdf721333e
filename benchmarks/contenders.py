"""The same scene through the same network, as other tools would do it; one JSON line on stdout.

python benchmarks/contenders.py NAME SCENE OUT.tif [--precision fp32|bf16]

Each contender reads the scene, runs the shipped network over it and writes the class raster and one activation per
class (float32, as these tools give them), except `limit`, which only runs the network, and `untiled`, whose class raster
is the truth for the others.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio

Image = np.ndarray
_WINDOW = 1024
_HALO = 56
_PEERS = Path(__file__).parents[1] / "bench" / "peers"


def read(scene: Path) -> Image:
    """Raw bands (9, height, width), all of them: these tools hold the scene in memory."""
    with rasterio.open(scene) as source:
        return source.read()


def write(scene: Path, out: Path, probabilities: Image) -> None:
    """Class raster and float32 activations with the scene's georeference."""
    with rasterio.open(scene) as source:
        profile = source.profile | {
            "count": 1 + len(probabilities),
            "dtype": "float32",
            "compress": "deflate",
            "zlevel": 1,
        }
    with rasterio.open(out, "w", **(profile | {"BIGTIFF": "YES", "nodata": None, "predictor": 1})) as target:
        target.write((probabilities.argmax(0) + 1).astype(np.float32), 1)
        target.write(probabilities, list(range(2, 2 + len(probabilities))))


class Network:
    """The shipped network as a user of torch would call it: reflectance, normalisation, logits, softmax."""

    def __init__(self, precision: str) -> None:
        import torch

        from lulc.model.bundle import load_bundle

        bundle = load_bundle()
        self.dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        self.module = bundle.network.to(self.dtype)
        spec = bundle.card.features
        self.temperature = bundle.card.temperature
        self.mean = np.array(spec.mean, np.float32)[:, None, None]
        self.std = np.array(spec.std, np.float32)[:, None, None]

    def features(self, raw: Image) -> "object":
        """Normalised (1, 9, height, width) tensor."""
        import torch

        return torch.from_numpy((raw.astype(np.float32) / 10_000 - self.mean) / self.std)[None].to(self.dtype)

    def __call__(self, features: "object") -> "object":
        """Probabilities (1, 9, height, width) in float32."""
        import torch

        with torch.no_grad():  # MONAI writes into what it gets, which inference mode forbids
            return torch.softmax(self.module(features).float() / self.temperature, 1)


def limit(scene: Path, _out: Path, network: Network) -> float:
    """Bare forward passes: 1024 px windows without halo, channels last, batch norm folded; the time of these alone."""
    import torch

    from lulc.model.fold import fold_batch_norm

    fold_batch_norm(network.module.float(), 9)
    network.module.to(network.dtype).to(memory_format=torch.channels_last)
    raw = read(scene)
    windows = [
        network.features(raw[:, row : row + _WINDOW, col : col + _WINDOW]).contiguous(memory_format=torch.channels_last)
        for row in range(0, raw.shape[1], _WINDOW)
        for col in range(0, raw.shape[2], _WINDOW)
    ]
    with torch.inference_mode():
        network.module(windows[0])
        started = time.process_time(), time.perf_counter()
        for window in windows:
            network.module(window)
    limit.wall = time.perf_counter() - started[1]  # type: ignore[attr-defined]
    return time.process_time() - started[0]


def limit_kept(scene: Path, out: Path, network: Network) -> float:
    """The same, with glibc keeping freed memory as `classify` makes it do: no page faults."""
    from lulc.model.allocator import keep_freed_memory

    keep_freed_memory()
    return limit(scene, out, network)


def untiled(scene: Path, out: Path, network: Network) -> None:
    """One pass over the whole scene, mirrored around it by the halo and padded at its end to the stride."""
    raw = read(scene)
    height, width = raw.shape[1:]
    margins = ((_HALO, _HALO + -height % 8), (_HALO, _HALO + -width % 8))
    padded = np.pad(raw, ((0, 0), *margins), mode="symmetric")
    del raw
    probabilities = network(network.features(padded))[0, :, _HALO : _HALO + height, _HALO : _HALO + width].numpy()
    with rasterio.open(scene) as source:
        profile = source.profile | {"count": 1, "dtype": "uint8", "predictor": 1}
    with rasterio.open(out, "w", **profile) as target:
        target.write((probabilities.argmax(0) + 1).astype(np.uint8), 1)


def dask_overlap(scene: Path, out: Path, network: Network) -> None:
    """dask.array.map_overlap with the exact halo and rioxarray: what one writes oneself."""
    import dask.array as da
    import rioxarray

    source = rioxarray.open_rasterio(scene, chunks={"x": 512, "y": 512}).data.rechunk((-1, 512, 512))

    def predict(block: Image) -> Image:
        return network(network.features(block))[0].numpy()

    probabilities = da.map_overlap(
        predict,
        source,
        depth={0: 0, 1: 64, 2: 64},
        boundary="reflect",
        trim=True,
        allow_rechunk=False,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    write(scene, out, probabilities.compute(scheduler="threads", num_workers=2))


def monai_sliding(scene: Path, out: Path, network: Network) -> None:
    """MONAI sliding_window_inference, 512 px windows, 25 % overlap, Gaussian weights."""
    from monai.inferers import sliding_window_inference

    features = network.features(read(scene))
    probabilities = sliding_window_inference(features, 512, 4, network, overlap=0.25, mode="gaussian")
    write(scene, out, probabilities[0].float().numpy())


def terratorch_tiled(scene: Path, out: Path, network: Network) -> None:
    """Terratorch tiled_inference, 512 px windows, 25 % overlap, its own blending."""
    tiled_inference = _terratorch()
    probabilities = tiled_inference(
        network, network.features(read(scene)), out_channels=9, crop=512, stride=384, delta=8, batch_size=4
    )
    write(scene, out, probabilities[0].float().numpy())


def _terratorch() -> Callable[..., "object"]:
    """Its tiled inference alone, without the training frameworks that the whole package wants."""
    if not (_PEERS / "terratorch").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(_PEERS), "terratorch"]
        subprocess.run(pip, check=True)
    for name in ("terratorch", "terratorch.tasks", "terratorch.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(_PEERS.joinpath(*name.split(".")))]
        sys.modules[name] = package
    registry = types.ModuleType("terratorch.registry")
    registry.BACKBONE_REGISTRY = None  # type: ignore[attr-defined]
    sys.modules[registry.__name__] = registry
    from terratorch.tasks.tiled_inference import tiled_inference

    return tiled_inference


CONTENDERS = {
    function.__name__: function
    for function in (limit, limit_kept, untiled, dask_overlap, monai_sliding, terratorch_tiled)
}


def main() -> None:
    """Run one contender and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("scene", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    network = Network(arguments.precision)
    start_up = time.process_time()
    wall = time.perf_counter()
    bare = CONTENDERS[arguments.name](arguments.scene, arguments.out, network)
    print(
        json.dumps(
            {
                "name": arguments.name,
                "cpu_s": time.process_time() - start_up if bare is None else bare,
                "wall_s": time.perf_counter() - wall if bare is None else limit.wall,  # type: ignore[attr-defined]
                "start_up_cpu_s": start_up,
                "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
