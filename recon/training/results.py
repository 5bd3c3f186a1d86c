"""From a subset of a work folder to a result in it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sorter.core.subset import Subset
from sorter.io.workfolder import WorkFolder


def write_result(
    work: WorkFolder, stage: str, name: str, subset: Subset, columns: dict[str, NDArray], made_by: dict[str, Any]
) -> None:
    """Store columns (N, ...), one row for each frame of ``subset``, as reconstruction ``name``, with a manifest.

    made_by: weights and settings, JSON-ready. The subset's rule and checksum go in as well, so that a result tells which
    frames it is about. Raises WorkFolderError where the folder cannot be written.
    """
    inputs = {"rule": subset.rule, "sha256": subset.sha256, "label_book_revision": subset.label_book_revision}
    with work.stage(f"recon_{stage}", made_by, None, inputs) as record:
        work.write_reconstruction(name, subset.frame_id, columns, {"stage": stage, "subset": inputs, **made_by})
        record.outputs["reconstruction"] = name
        record.metrics[f"recon_{stage}/frames"] = len(subset.frame_id)
