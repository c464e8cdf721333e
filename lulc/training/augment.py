"""Augmentation on tensors: rotation, radiometry, lost bands and cloud-shaped holes.

Every random number comes from a generator seeded by step and process, so a step is repeatable by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lulc.bands import sensor
from lulc.errors import ConfigError
from lulc.features import FeatureSpec
from lulc.legend import NODATA_CODE
from lulc.model.channels import REFLECTANCE, network_channels
from lulc.training.atmosphere import atmosphere, check_known
from lulc.training.samples import LEVELS, Pieces
from lulc.training.settings import AugmentSettings

_SURFACE_SUN_ZENITH, _SURFACE_AEROSOL = (20.0, 50.0), (0.03, 0.2)
"""Atmospheres that are taken off top-of-atmosphere images; more would leave dark bands below 0."""

_HAZE_CHANCE = 0.3
_HAZE_EXPONENT = -1.5
_BLUE_NM = 490.0
_CLOUD_CELLS = 6
_LARGEST_CLOUD = 0.4
_LEAST_REFLECTANCE = 1e-4
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """Labels of a batch.

    Attributes:
        codes: int64 (n, height, width): class index 0..K-1, 255 where the loss ignores the pixel.
        shares: float32 (n, K, height, width), summing to 1 where not ignored; None for hard labels.
    """

    codes: Tensor
    shares: Tensor | None = None

    @property
    def known(self) -> Tensor:
        """Bool (n, height, width), False where the pixel is ignored."""
        return self.codes != NODATA_CODE


class Augment:
    """Makes the input and the target of a network from pieces of chips.

    Args:
        settings: How far samples are varied.
        spec: Channels of the network.
        names: Planes of the pieces, in order; bands that are varied, and indices that are not.
        crop: Side of a sample, pixels.
    """

    def __init__(self, settings: AugmentSettings, spec: FeatureSpec, names: Sequence[str], crop: int) -> None:
        self._settings, self._spec, self._names, self._crop = settings, spec, tuple(names), crop
        bands = {band.name: band for band in sensor(spec.sensor).bands}
        spectral = [bands[name] for name in names if name in bands]
        if [band.name for band in spectral] != list(names[: len(spectral)]):
            raise ConfigError(f"planes {', '.join(names)}", "bands come before indices")
        self._spectral = slice(len(spectral))  # a view: what follows works in place
        if settings.atmosphere:
            check_known(spectral, "augment.atmosphere")
        self._bands = spectral
        self._haze = torch.tensor([(band.wavelength_nm / _BLUE_NM) ** _HAZE_EXPONENT for band in spectral])
        means = dict(zip(spec.channels, spec.mean, strict=True))
        self._means = torch.tensor([means.get(band.name, 0.0) for band in spectral])

    def __call__(self, groups: Sequence[Pieces], seed: int, device: torch.device) -> tuple[Tensor, Target]:
        """Input (n, channels, crop, crop) and target of a batch, on the device."""
        random = torch.Generator().manual_seed(seed)
        parts = [self._samples(pieces, random, device) for pieces in groups]
        image, label = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        if self._settings.noise:
            noise = torch.randn(image[:, self._spectral].shape, generator=random).to(device)
            image[:, self._spectral].add_(noise, alpha=self._settings.noise)
        # Sentinel-2 has no reflectance below one count; without this an index of two tiny numbers has no bounds.
        image[:, self._spectral].clamp_min_(_LEAST_REFLECTANCE)
        valid = image.isfinite().all(dim=1) & ~self._holes(len(image), random).to(device)
        planes = {name: image[:, position] for position, name in enumerate(self._names)}
        return network_channels(self._spec, planes, REFLECTANCE, valid), target_of(label, valid)

    def _samples(self, pieces: Pieces, random: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """Image and label (n, planes, crop, crop) of a group of pieces."""
        image, label = torch.from_numpy(pieces.image).to(device), torch.from_numpy(pieces.label).to(device)
        gain, offset = self._radiometry(torch.from_numpy(pieces.level), random)
        image[:, self._spectral].mul_(gain.to(device)).add_(offset.to(device))
        self._drop_bands(image, random)
        image, label = self._rotated(image, label, random)
        return tuple(side_by_side(planes, pieces.across, self._crop) for planes in (image, label))  # type: ignore[return-value]

    def _radiometry(self, level: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Gain and offset of each band of each piece, (n, bands, 1, 1): atmosphere, then sensor, then haze."""
        count, bands, settings = len(level), self._spectral.stop, self._settings

        def normal(mean: float, std: float) -> Tensor:
            return torch.randn(count, bands, generator=random) * std + mean

        gain, offset = self._other_air(level, random) if settings.atmosphere else (torch.ones(1), torch.zeros(1))
        common = _uniform(count, (-settings.gain, settings.gain), random)[:, None]
        scale = (1 + common) * normal(1, settings.band_gain)
        hazy = (_uniform(count, (0, 1), random) < _HAZE_CHANCE)[:, None]
        haze = self._haze * _uniform(count, (0, settings.haze), random)[:, None] * hazy
        shift = normal(0, settings.band_offset) + haze
        return (gain * scale)[..., None, None], (offset * scale + shift)[..., None, None]

    def _other_air(self, level: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Gain and offset (n, bands) that show some pieces of a known level through another atmosphere.

        One seen from above the atmosphere loses it first, and half of those get none back. One of the surface gets one.
        """
        count, settings = len(level), self._settings
        mine = atmosphere(
            self._bands, _uniform(count, _SURFACE_SUN_ZENITH, random), _uniform(count, _SURFACE_AEROSOL, random)
        )
        sun = _uniform(count, (_SURFACE_SUN_ZENITH[0], settings.sun_zenith), random)
        other = atmosphere(self._bands, sun, _uniform(count, (_SURFACE_AEROSOL[0], settings.aerosol), random))
        above, known = (level == LEVELS.index("L1C"))[:, None], (level != LEVELS.index(""))[:, None]
        gain = torch.where(above, 1 / mine.transmittance, 1.0)
        offset = torch.where(above, -mine.path / mine.transmittance, 0.0)
        again = ~above | (_uniform(count, (0, 1), random) < _HALF)[:, None]
        gain, offset = (
            torch.where(again, gain * other.transmittance, gain),
            torch.where(again, offset * other.transmittance + other.path, offset),
        )
        moved = known & (_uniform(count, (0, 1), random) < settings.atmosphere)[:, None]
        return torch.where(moved, gain, 1.0), torch.where(moved, offset, 0.0)

    def _drop_bands(self, image: Tensor, random: torch.Generator) -> None:
        """Replace one band of some pieces by its mean."""
        dropped = torch.rand(len(image), generator=random) < self._settings.band_dropout
        which = torch.randint(self._spectral.stop, (len(image),), generator=random)
        for piece in dropped.nonzero().flatten().tolist():
            band = int(which[piece])
            plane = image[piece, band]
            plane[plane.isfinite()] = self._means[band].to(plane.device)

    def _rotated(self, image: Tensor, label: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        angles = {"none": 1, "quarter": 4, "sixteen": 16}[self._settings.rotate]
        steps = torch.randint(angles, (len(image),), generator=random).tolist()
        flips = (torch.rand(len(image), generator=random) < _HALF).tolist()
        rotated_planes = []
        for planes in (image, label):
            parts = []
            for piece, step, flip in zip(planes, steps, flips, strict=True):
                quarter, rest = divmod(step, 4) if angles == 16 else (step, 0)  # noqa: PLR2004
                part = torch.rot90(rotated(piece, 22.5 * rest) if rest else piece, quarter, (1, 2))
                parts.append(part.flip(2) if flip and self._settings.flip else part)
            rotated_planes.append(torch.stack(parts))
        return rotated_planes[0], rotated_planes[1]

    def _holes(self, count: int, random: torch.Generator) -> Tensor:
        """Cloud-shaped holes, bool (count, crop, crop): smooth noise above a random height."""
        shape = (count, self._crop, self._crop)
        chosen = torch.rand(count, generator=random) < self._settings.holes
        if not bool(chosen.any()):
            return torch.zeros(shape, dtype=torch.bool)
        cells = torch.rand(count, 1, _CLOUD_CELLS, _CLOUD_CELLS, generator=random)
        smooth = functional.interpolate(cells, size=shape[1:], mode="bicubic")[:, 0]
        cover = torch.rand(count, generator=random) * _LARGEST_CLOUD
        heights = torch.stack(
            [field.quantile(1 - float(share)) for field, share in zip(smooth[:, ::4, ::4], cover, strict=True)]
        )
        return (smooth > heights[:, None, None]) & chosen[:, None, None]


def _uniform(count: int, limits: tuple[float, float], random: torch.Generator) -> Tensor:
    """Uniform numbers, float32 (count,)."""
    low, high = limits
    return torch.rand(count, generator=random) * (high - low) + low


def rotated(planes: Tensor, degrees: float) -> Tensor:
    """Planes (c, side, side) rotated about their centre; corners without a source have no data.

    Floating planes are interpolated bilinearly and are NaN wherever a NaN takes part; uint8 labels take the nearest
    pixel and are 255 outside.
    """
    angle = torch.deg2rad(torch.tensor(degrees))
    cos, sin = float(torch.cos(angle)), float(torch.sin(angle))
    matrix = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], device=planes.device)
    grid = functional.affine_grid(matrix[None], [1, *planes.shape], align_corners=False)
    if planes.dtype == torch.uint8:
        shifted = planes.float() - NODATA_CODE  # so that the zeros from outside mean 255
        return (functional.grid_sample(shifted[None], grid, mode="nearest", align_corners=False)[0] + NODATA_CODE).to(
            torch.uint8
        )
    known = planes.isfinite().to(planes.dtype)
    both = torch.cat([planes.nan_to_num(nan=0.0), known])[None]
    values, weight = functional.grid_sample(both, grid, align_corners=False)[0].chunk(2)
    return torch.where(weight > 0.999, values, torch.nan)  # noqa: PLR2004 - rounding of the weights


def side_by_side(pieces: Tensor, across: int, crop: int) -> Tensor:
    """Samples (n, c, crop, crop) from across * across times as many pieces (c, side, side), row by row."""
    if across == 1:
        return pieces
    count, planes, side, _ = pieces.shape
    grid = pieces.reshape(count // across**2, across, across, planes, side, side)
    joined = grid.permute(0, 3, 1, 4, 2, 5).reshape(-1, planes, across * side, across * side)
    return joined[..., :crop, :crop]


def target_of(label: Tensor, valid_nyx: Tensor) -> Target:
    """Target of labels as stored: uint8 (n, 1, h, w) codes from 1, or (n, K, h, w) shares; ignored where not valid."""
    known = valid_nyx & (label[:, 0] != NODATA_CODE)
    if label.shape[1] == 1:
        codes = label[:, 0].long() - 1
        return Target(codes.masked_fill_(~known, NODATA_CODE))
    shares = label.float() * known[:, None]
    shares /= shares.sum(dim=1, keepdim=True).clamp_min_(1.0)
    return Target(label.argmax(dim=1).masked_fill_(~known, NODATA_CODE), shares)
