"""pyMSFT (Tuemmler, Apportin, Fennel & Peltz, Laser Photonics Rev. 2025) side by side, in an environment of its own.

It is no dependency: ``--pymsft-python`` names the interpreter of an environment that has it
(``pip install pymsft``; below Python 3.12 with ``--ignore-requires-python``).
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from apps.bench import mie
from sorter.core.errors import InputError

SCHEMES = {"PMSFTSimulation": "propagating", "HARESimulation": "paraxial (Hare)", "MSFTSimulation": "absorption only"}
SCRIPT = """
import sys, time
import numpy as np
from pyMSFT import simulation
from pyMSFT.shapes import Sphere
out, wavelength, radius, re, im, repeats, threads = sys.argv[1], *map(float, sys.argv[2:])
found = {}
for name in ("PMSFTSimulation", "HARESimulation", "MSFTSimulation"):
    geometry = Sphere(refractive_index=complex(re, im), npix=64)
    scheme = getattr(simulation, name)(npix_fft=256, npix_real=64, wavelength=wavelength, box_size=2 * radius,
                                       pool_size=int(threads))
    image, (qx, qy) = scheme.get_diffraction_image(geometry, output_axes=True)
    times = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        scheme.get_diffraction_image(geometry)
        times.append(time.perf_counter() - start)
    found[name], found["qx"], found["qy"] = image, qx, qy
    found[name + "_ms"] = 1e3 * min(times)
np.savez(out, **found)
"""


def rows(
    python: str, wavelength_m: float, radius_m: float, index: complex, threads: int, repeats: int
) -> list[dict[str, Any]]:
    """Error against Mie theory and time per frame (256 x 256, 64 slices) of each scheme of pyMSFT run by ``python``.

    Raises InputError where that interpreter cannot run it.
    """
    values = [str(v) for v in (wavelength_m, radius_m, index.real, index.imag, repeats, threads)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pymsft.npz"
        try:
            run = subprocess.run([python, "-c", SCRIPT, str(out), *values], capture_output=True, text=True, check=False)
        except OSError as error:
            raise InputError(
                f"--pymsft-python {python}: cannot be run ({error.strerror}); give the python of its environment"
            ) from error
        if run.returncode != 0:
            reason = run.stderr.strip().splitlines()[-1:] or ["no message"]
            raise InputError(f"--pymsft-python {python}: pyMSFT does not run there ({reason[0]})")
        with np.load(out) as found:
            return [_row(name, dict(found), wavelength_m, radius_m, index) for name in SCHEMES]


def _row(name: str, found: dict[str, Any], wavelength_m: float, radius_m: float, index: complex) -> dict[str, Any]:
    sine = np.hypot(found["qx"], found["qy"]) * wavelength_m / (2 * np.pi)
    seen = sine < np.sin(np.radians(50))
    two_theta = np.arcsin(np.where(seen, sine, 0))[seen]
    truth = mie.cross_section(two_theta, wavelength_m, index, radius_m)
    frame = found[name][seen] * (1 + np.cos(two_theta) ** 2) / 2
    return {
        "scheme": f"pyMSFT, {SCHEMES[name]}",
        "error_45_dex": mie.radial_error_dex(frame, truth, two_theta, 45),
        "error_30_dex": mie.radial_error_dex(frame, truth, two_theta, 30),
        "frame_ms": float(found[name + "_ms"]),
    }
