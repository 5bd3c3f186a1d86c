"""Proposals as CSV."""

from __future__ import annotations

import csv
from typing import TextIO

from sorter.core.proposals import Proposals


def write_proposals(file: TextIO, found: Proposals) -> int:
    """One row per frame, in the order of the proposals; returns how many.

    frame_id, labelled, proposed (labels of confidence 0.5 and more joined by ";", "none of these", or empty), none_of_these (its
    probability), next_value, and the probability of each label, given that it is one of these.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["frame_id", "labelled", "proposed", "none_of_these", "next_value", *(f"p:{c}" for c in found.classes)]
    )
    columns = (
        found.frame_id,
        found.labelled,
        found.none_of_these,
        found.unknown,
        found.next_value,
        found.probability,
        found.proposed(),
    )
    for frame_id, labelled, none, unknown, value, probability, proposed in zip(*columns):
        words = ";".join(word for word, mine in zip(found.classes, proposed) if mine)
        numbers = [f"{x:.4f}" for x in (unknown, value, *probability)]
        writer.writerow([frame_id, str(bool(labelled)).lower(), "none of these" if none else words, *numbers])
    return len(found.frame_id)
