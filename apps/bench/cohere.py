"""cohere-core (Frosik & Harder, Argonne) side by side, in an environment of its own.

It is no dependency: ``--cohere-python`` names the interpreter of an environment that has it (``pip install cohere-core``).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorter.core.errors import InputError

_GAUSS = {"shrink_wrap_type": "GAUSS", "shrink_wrap_gauss_sigma": 1.0}
#: Shrink-wrap as `recon.phase.iterate` does it by default.
ALIKE = _GAUSS | {"shrink_wrap_trigger": [20, 20], "shrink_wrap_threshold": 0.2}
#: As set at the beamline 34-ID-C: shrink-wrap in every iteration, half of the object left out once to part the twins.
BEAMLINE = _GAUSS | {
    "shrink_wrap_trigger": [1, 1], "shrink_wrap_threshold": 0.1, "twin_trigger": [2], "twin_halves": [0, 0],
}  # fmt: skip
#: Reads jobs.json of a folder: amplitude (.npy), parameters; writes image and support of each, and seconds.json. Bare transforms
#: are timed with its own library and precision.
_SCRIPT = """
import json, sys, time
import numpy as np, scipy.fft
from cohere_core.controller import phasing
folder, seconds = sys.argv[1], []
for number, job in enumerate(json.load(open(folder + "/jobs.json"))):
    if "transforms" in job:
        volume = np.ones([job["side"]] * 3, complex)
        begin = time.perf_counter()
        for _ in range(job["transforms"]):
            scipy.fft.fftn(scipy.fft.ifftn(volume))
    else:
        rec = phasing.create_rec(job["parameters"], job["amplitude"], "np", -1, debug=True)
        rng = np.random.default_rng(job["seed"])  # its own start is seeded by the clock; this one is of the same law
        start = rng.random(rec.dims) + 1j * rng.random(rec.dims)
        rec.ds_image = start * (np.abs(start) ** 2).sum() * rec.data.max() * rec.support
        begin = time.perf_counter()
        rec.iterate()
    seconds.append(time.perf_counter() - begin)
    if job.get("keep"):
        np.savez(f"{folder}/{number}.npz", image=rec.ds_image, support=rec.support > 0)
json.dump(seconds, open(folder + "/seconds.json", "w"))
"""


@dataclass(frozen=True)
class Job:
    """amplitude (n, n, n): square root of the counts, peak in the middle; parameters: of cohere's reconstruction; seed of its
    random start; keep: whether image and support are wanted."""

    amplitude: NDArray[np.float32]
    parameters: dict[str, Any]
    seed: int = 0
    keep: bool = False


@dataclass(frozen=True)
class Transforms:
    """So many pairs of bare transforms, there and back, of a cube of ``side``."""

    side: int
    transforms: int


@dataclass(frozen=True)
class Answer:
    """seconds that the iterations took; image (n, n, n) complex and support, where they were wanted."""

    seconds: float
    image: NDArray[np.complex128] | None = None
    support: NDArray[np.bool_] | None = None


def run(python: str, jobs: Sequence[Job | Transforms]) -> list[Answer]:
    """Answers to ``jobs``, done one after the other by cohere-core (numpy) in a process of the interpreter ``python``.

    Raises InputError where that interpreter cannot do them.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "jobs.json").write_text(json.dumps([_written(job, folder, i) for i, job in enumerate(jobs)]))
        try:
            call = subprocess.run([python, "-c", _SCRIPT, name], capture_output=True, text=True, check=False)
        except OSError as error:
            raise InputError(
                f"--cohere-python {python}: cannot be run ({error.strerror}); give the python of its environment"
            ) from error
        if call.returncode != 0:
            reason = call.stderr.strip().splitlines()[-1:] or ["no message"]
            raise InputError(f"--cohere-python {python}: cohere-core does not run there ({reason[0]})")
        seconds = json.loads((folder / "seconds.json").read_text())
        return [_answer(folder / f"{i}.npz", s) for i, s in enumerate(seconds)]


def _written(job: Job | Transforms, folder: Path, number: int) -> dict[str, Any]:
    if isinstance(job, Transforms):
        return {"side": job.side, "transforms": job.transforms}
    path = folder / f"{number}.npy"
    np.save(path, job.amplitude.astype(np.float32))
    return {"amplitude": str(path), "parameters": job.parameters, "seed": job.seed, "keep": job.keep}


def _answer(path: Path, seconds: float) -> Answer:
    if not path.exists():
        return Answer(seconds)
    with np.load(path) as found:
        return Answer(seconds, found["image"], found["support"])
