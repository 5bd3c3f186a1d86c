"""What a few labels say of all hits: proposals, what to label next, and taking proposals over into the label book."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sorter.cluster.reduce import principal_components
from sorter.core.config import config_to_dict, require
from sorter.core.embedding import Embedding
from sorter.core.errors import InputError
from sorter.core.identity import rows_of
from sorter.core.labels import PROPOSAL, LabelEvent
from sorter.core.proposals import Proposals
from sorter.curate.heads import HEADS
from sorter.curate.label_book import LabelBook, user_name
from sorter.curate.propose import Proposer, known_frames
from sorter.curate.suggest import next_rows
from sorter.io.progress import Steps
from sorter.io.workfolder import WorkFolder
from sorter.stages.cluster import find_embedding, inputs_digest

log = logging.getLogger(__name__)

#: Principal components of the embedding that proposals stand on.
PCA_DIMS = 32
_STEPS = Steps("neighbours", "labels")


@dataclass(frozen=True)
class ProposeConfig:
    """embedding: name, several joined by "+", or "auto". head: "propagation" (labels spread over nearest neighbours), "linear"
    or "prototypes". labels: the labels that are told apart, all where empty (name those that exclude or complete one another: a
    frame that lacks one counts as a no). n_next: how many frames to suggest for labelling (meta["next_frames"]). name: under
    which the proposals are stored."""

    embedding: str = "auto"
    head: str = "propagation"
    labels: tuple[str, ...] = ()
    n_next: int = 10
    name: str = "default"
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.n_next >= 0, f"--next {self.n_next}: must not be negative")
        require(self.head in HEADS, f"--head {self.head}: choose one of {', '.join(HEADS)}")


def proposer(work: str | Path | WorkFolder, embedding: str = "auto") -> tuple[Proposer, Embedding]:
    """What proposes labels for the hits of a work folder, and the embedding it stands on. Raises MissingResultError before
    anything was embedded, InputError where there are too few hits to have neighbours."""
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    hits = work.read_hits()
    found = find_embedding(work, embedding)
    kept = np.isin(found.frame_id, hits.hit_ids)
    found = Embedding(found.name, found.frame_id[kept], found.vectors[kept], found.meta)
    if len(found.frame_id) < 3:
        raise InputError(f"{work.path}: {len(found.frame_id)} embedded hits; need at least 3 to propose labels")
    return Proposer(found.frame_id, principal_components(found.vectors, PCA_DIMS)), found


def propose(work: str | Path | WorkFolder, config: ProposeConfig | None = None) -> Proposals:
    """Propose labels for the hits from those that a person gave so far; stores and returns the proposals.

    Nothing is written into the label book. Raises InputError for a label that no person gave, MissingResultError before
    anything was embedded.
    """
    config = config or ProposeConfig()
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    book = LabelBook(work.labels_path)
    state = book.state()
    absent = [word for word in config.labels if not len(state.members(word, by_people=True))]
    if absent:
        raise InputError(f"label '{absent[0]}': no person gave it (labels: {', '.join(state.labels()) or 'none'})")
    _STEPS.begin("neighbours")
    asked, embedding = proposer(work, config.embedding)
    inputs = {
        "embedding": embedding.name,
        "label_book_revision": state.revision,
        "sha256": inputs_digest(embedding, work.read_hits()),
    }
    with work.stage("propose", config_to_dict(config), config.seed, inputs) as record:
        classes, rows, member = known_frames(state, asked.frame_id, config.labels)
        _STEPS.begin("labels")
        found = asked.propose(classes, rows, member, config.head, config.name, config.seed)
        suggested = found.frame_id[next_rows(found.next_value, asked.points, config.n_next)].tolist()
        found.meta.update(embedding=embedding.name, label_book_revision=state.revision, next_frames=suggested)
        work.write_proposals(found)
        record.outputs["proposals"] = found.name
        record.metrics.update(
            {"propose/labelled": len(rows), "propose/unknown_share": float(found.none_of_these.mean())}
        )
    return found


def accept(
    work: str | Path | WorkFolder, min_probability: float = 0.9, labels: tuple[str, ...] = (), name: str = "default"
) -> list[LabelEvent]:
    """Give the proposed labels of at least ``min_probability`` to the frames, as events of the author "proposal (user)".

    ``labels``: only these. Frames of which a person has said anything are left alone. Taken back by `revoke` (all of them) or
    by undo (one event). Raises MissingResultError before `propose`, InputError for a label that is not proposed.
    """
    require(0 < min_probability <= 1, f"--accept {min_probability}: must lie in (0, 1]")
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    found = work.read_proposals(name)
    unknown = [word for word in labels if word not in found.classes]
    if unknown:
        raise InputError(f"label '{unknown[0]}': not among the proposals (there: {', '.join(found.classes) or 'none'})")
    book = LabelBook(work.labels_path, f"{PROPOSAL} ({user_name()})")
    free = rows_of(book.state().spoken_of(), found.frame_id) < 0
    chosen = found.proposed(min_probability) & free[:, None]
    reason = (
        f"proposal '{name}' of at least {min_probability:g} (label book revision {found.meta['label_book_revision']})"
    )
    events = [
        book.add(found.frame_id[mine], word, reason)
        for word, mine in zip(found.classes, chosen.T)
        if mine.any() and (not labels or word in labels)
    ]
    return [event for event in events if event is not None]


def revoke(work: str | Path | WorkFolder) -> list[LabelEvent]:
    """Take away all labels that came from accepted proposals and that no person has confirmed since."""
    work = work if isinstance(work, WorkFolder) else WorkFolder.open(work)
    book = LabelBook(work.labels_path, f"{PROPOSAL} ({user_name()})")
    state = book.state()
    events = []
    for word in state.labels():
        mine = np.setdiff1d(state.members(word), state.members(word, by_people=True))
        if len(mine):
            events.append(book.remove(mine, word, "proposals revoked"))
    return [event for event in events if event is not None]
