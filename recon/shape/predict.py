"""Size, orientation and solid of frames, by a trained network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.shape.bank import GEOMETRY
from recon.shape.errors import from_scaled
from recon.shape.network import Answer
from recon.shape.polar import PolarMap, polar_map
from recon.shape.solids import Solid, solid
from recon.shape.stielow import grey
from recon.shape.train import load_network
from recon.training.predictor import TrainedNetwork
from sim.orientation import normalize
from sim.symmetry import to_fundamental
from sorter.core.errors import InputError
from sorter.core.geometry import Geometry

WEIGHTS = Path(__file__).parent / "weights"
#: Shipped weights by name: for icosahedra; for icosahedra under the paper's filters, too; for telling solids apart.
SHIPPED = {name: WEIGHTS / f"{name}.safetensors" for name in ("small", "augmented", "solids")}
#: Relative difference of wavelength up to which angles and radii in wavelengths are taken to be the same.
WAVELENGTH_TOLERANCE = 0.03
_LEAST_COVERAGE = 0.5


@dataclass(frozen=True)
class Poses:
    """Of N frames: solid (N,) number in the network's list; confidence (N,) and probability (N, K) of solids; radius_nm,
    radius_error_nm, orientation_error_deg (N,) standard errors as the network sees them; quaternion (N, 4) in the
    fundamental domain; raw (N, 4) as the network gave it (the same where it gives no quaternion); candidates (N, C, 4)
    further orientations to start a refinement from, best first."""

    solid: NDArray[np.int64]
    confidence: NDArray[np.float64]
    probability: NDArray[np.float64]
    radius_nm: NDArray[np.float64]
    radius_error_nm: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    orientation_error_deg: NDArray[np.float64]
    raw: NDArray[np.float64]
    candidates: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.solid)


def check_geometry(geometry: Geometry) -> tuple[float, list[str]]:
    """The factor on radii and remarks on what is done for frames of ``geometry``.

    Pixel size, distance, centre and shape may be anything that covers the rings of the network: maps are made in angles. For
    another wavelength the radius is counted in wavelengths, which is right as long as the optical constants are the
    same; so only a
    small difference is accepted. Raises InputError for missing values, another wavelength and a detector that sees too little.
    """
    if not geometry.has_q:
        names = ("pixel_size_m", "distance_m", "wavelength_m", "beam_center_px")
        missing = ", ".join(n for n in names if getattr(geometry, n) is None)
        raise InputError(
            f"geometry: {missing} not known; give --pixel-size, --distance, --wavelength and --center on ingest"
        )
    factor = geometry.wavelength_m / GEOMETRY.wavelength_m
    if abs(factor - 1) > WAVELENGTH_TOLERANCE:
        raise InputError(
            f"geometry: wavelength {geometry.wavelength_m * 1e9:.4g} nm; these weights are for "
            f"{GEOMETRY.wavelength_m * 1e9:.4g} nm, where the optical constants are known; train others for this one"
        )
    remarks = []
    if abs(factor - 1) > 1e-6:
        remarks.append(f"wavelength {geometry.wavelength_m * 1e9:.5g} nm: radii are scaled by {factor:.4f}")
    coverage = _map_of(geometry).coverage
    if coverage < _LEAST_COVERAGE:
        raise InputError(
            f"geometry: the detector covers {coverage:.0%} of the angles that these weights look at (to 30 degrees); at least "
            f"{_LEAST_COVERAGE:.0%} are needed; check distance and pixel size"
        )
    if coverage < 0.98:
        remarks.append(f"the detector covers {coverage:.0%} of the angles to 30 degrees; the rest counts as masked")
    if _differs(geometry):
        remarks.append("geometry differs from that of the training: frames are resampled in scattering angle")
    return factor, remarks


def _differs(geometry: Geometry) -> bool:
    same = geometry.shape_px == GEOMETRY.shape_px and np.allclose(geometry.center_px(), GEOMETRY.center_px(), atol=1e-3)
    scale = geometry.pixel_size_m / geometry.distance_m * GEOMETRY.distance_m / GEOMETRY.pixel_size_m
    return not same or abs(scale - 1) > 1e-3


@lru_cache(maxsize=8)
def _map_of(geometry: Geometry) -> PolarMap:
    return polar_map(geometry)


class Predictor(TrainedNetwork):
    """A trained network, ready. weights: a file of `recon shape train` or the name of shipped ones, see `SHIPPED`; device: cpu,
    cuda or auto."""

    def __init__(self, weights: str | Path = "small", device: str = "cpu") -> None:
        super().__init__(load_network, SHIPPED.get(str(weights), weights), device, ("preset", "parameters"))
        self.solids: list[Solid] = [solid(name) for name in self.meta["solids"]]

    def number_of(self, name: str) -> int:
        """Number of the solid ``name``. Raises InputError where these weights do not know it."""
        names = self.meta["solids"]
        if name not in names:
            raise InputError(
                f"{self.path.name}: weights for {', '.join(names)}, not for {name}; give others with --weights (solids)"
            )
        return names.index(name)

    def predict(
        self, blocks: Iterable[NDArray], good: NDArray[np.bool_], geometry: Geometry, *, known: str | None = None,
        where: str = "frames", first: int = 0, candidates: int = 1, batch: int = 128,
    ) -> Poses:  # fmt: skip
        """Poses of frames that come in blocks (n, ny, nx) of counts; good (ny, nx): pixels that may be used.

        known: the solid that all frames show (default: the most probable one of each). candidates: orientations per frame. where
        and first: names them and the number of the first one in messages.
        Raises InputError for a geometry that does not fit (`check_geometry`) and frames that are empty or not finite.
        """
        factor, _ = check_geometry(geometry)
        number = None if known is None else self.number_of(known)
        parts = []
        for block in blocks:
            for start in range(0, len(block), batch):
                frames = _checked(block[start : start + batch], good, where, first)
                first += len(frames)
                parts.append(self._poses(frames, good, geometry, number, candidates))
        if not parts:
            raise InputError(f"{where}: no frames")
        joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Poses)}
        for name in ("radius_nm", "radius_error_nm"):
            joined[name] = joined[name] * factor
        return Poses(**joined)

    @torch.no_grad()
    def _poses(self, frames, good, geometry: Geometry, number: int | None, candidates: int) -> Poses:
        if self.meta["network"] == "resnet34":
            if _differs(geometry):
                raise InputError("geometry: the paper's network knows its own detector only; use the small weights")
            images = torch.from_numpy(grey(frames * good)).to(self.device)
            return _of_quaternions(self.model(images).cpu(), candidates)
        maps = _map_of(geometry)(torch.from_numpy(frames), torch.from_numpy(good)).to(self.device)
        if self.meta["config"]["representation"] != "harmonics":
            return _of_quaternions(self.model(maps).cpu(), candidates)
        return self._of_answer(self.model(maps), number, candidates)

    def _of_answer(self, answer: Answer, number: int | None, candidates: int) -> Poses:
        calibration = self.meta.get("calibration", {})
        logits = answer.logits.double().cpu() / calibration.get("temperature", 1.0)
        probability = logits.softmax(1)
        chosen = probability.argmax(1) if number is None else torch.full((len(logits),), number)
        rows = torch.arange(len(chosen))
        q = torch.zeros(len(chosen), candidates, 4, dtype=torch.float64)
        turn_error = torch.zeros(len(chosen), dtype=torch.float64)
        for k, one in enumerate(self.solids):
            mine = torch.nonzero(chosen == k)[:, 0]
            if len(mine):
                found, _ = one.harmonics.orientations(answer.coefficients[k][mine].cpu(), candidates)
                q[mine] = to_fundamental(found, one.symmetry)
                turn_error[mine] = torch.rad2deg(answer.turn_error_rad(k, one)).cpu()[mine]
        size_error = answer.radius_error_nm[rows, chosen]
        radius = answer.radius_nm.double()[rows, chosen]
        return Poses(
            chosen.numpy(), probability[rows, chosen].numpy(), probability.numpy(), radius.cpu().numpy(),
            size_error.cpu().numpy() * calibration.get("radius_error", 1.0), q[:, 0].numpy(),
            turn_error.numpy() * calibration.get("orientation_error", 1.0), q[:, 0].numpy(), q.numpy(),
        )  # fmt: skip


def _of_quaternions(outputs: Tensor, candidates: int) -> Poses:
    """Poses from five scaled outputs (N, 5), which know no errors."""
    raw, radius = from_scaled(outputs)
    q = to_fundamental(normalize(raw), "I")
    n, unknown = len(q), np.full(len(q), np.nan)
    return Poses(
        np.zeros(n, np.int64), np.ones(n), np.ones((n, 1)), radius.numpy(), unknown, q.numpy(), unknown, raw.numpy(),
        q[:, None].expand(-1, candidates, -1).numpy(),
    )  # fmt: skip


def _checked(frames: NDArray, good: NDArray[np.bool_], where: str, first: int) -> NDArray[np.float32]:
    frames = np.asarray(frames)
    if frames.shape[1:] != good.shape:
        raise InputError(f"{where}: frames of {frames.shape[1:]}, but the mask has {good.shape}")
    seen = frames[:, good].astype(np.float32)
    bad = ~np.isfinite(seen).all(1)
    if bad.any():
        raise InputError(
            f"{where}: frame {first + int(np.argmax(bad))} of the choice holds NaN or infinity on good pixels; mask them"
        )
    dark = seen.sum(1) <= 0
    if dark.any():
        raise InputError(
            f"{where}: frame {first + int(np.argmax(dark))} of the choice is empty on good pixels; leave it out"
        )
    return np.where(good, frames, 0).astype(np.float32)
