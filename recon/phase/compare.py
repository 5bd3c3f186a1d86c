"""Several answers to one pattern beside that of iteration (Chan et al. 2020, figure 5)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from recon.phase.alignment import align
from recon.phase.figures import orthoslice_figure
from recon.phase.iterate import IterateConfig, Solutions, iterate
from recon.phase.problem import Problem
from recon.phase.quality import object_errors

_log = logging.getLogger(__name__)


def compare(picture: Path, problem: Problem, found: dict[str, Solutions], seed: int) -> list[dict[str, Any]]:
    """Draw each answer of ``found`` and that of 620 iterations of ER/HIO, aligned to it; a row of figures for each."""
    rival = iterate(problem, IterateConfig(), seed)
    mean = torch.sgn((rival.objects[0] * rival.objects[0].abs()).sum())
    reference = rival.objects[0] * mean.conj()
    support = rival.supports[0].cpu().numpy()
    rows, parts = [], []
    for method, answer in {**found, "iterated": rival}.items():
        errors = object_errors(answer.objects[0], reference)
        rows.append({
            "method": method, "chi2": float(answer.chi2[0]), "free_llk": float(answer.free_llk[0]), "seconds": answer.seconds,
            "shape_difference": errors.shape_error, "phase_difference_rad": errors.phase_error_rad,
        })  # fmt: skip
        parts.append((method, align(answer.objects[0], reference).cpu().numpy(), support))
        _log.info(
            "%(method)s: chi2 %(chi2).4f, free log-likelihood %(free_llk).3g, %(seconds).2f s; against the iterated one: shape "
            "%(shape_difference).2f, phase %(phase_difference_rad).2f rad", rows[-1],
        )  # fmt: skip
    picture.parent.mkdir(parents=True, exist_ok=True)
    orthoslice_figure(parts).savefig(picture)
    return rows
