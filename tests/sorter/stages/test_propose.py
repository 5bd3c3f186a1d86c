"""The stage and the command: propose, accept, revoke."""

import json

import numpy as np
import pytest

from apps.cli.__main__ import main
from sorter.core.errors import InputError, MissingResultError
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder
from sorter.stages.evaluate import stored_truth
from sorter.stages.propose import ProposeConfig, accept, propose, revoke
from tests.workfolders import make_work_folder


@pytest.fixture
def work(tmp_path):
    work = make_work_folder(tmp_path, n=240)
    truth = stored_truth(work.frames())
    book = LabelBook(work.labels_path, "ada")
    for name in ("sphere", "rod", "cube"):
        book.add(truth.frame_id[truth.classes == name][:5], name)
    return work


def test_proposals_are_right_and_stay_apart_from_labels(work):
    before = LabelBook(work.labels_path).counts()
    found = propose(work)
    truth = dict(zip(*[getattr(stored_truth(work.frames()), k).tolist() for k in ("frame_id", "classes")]))
    kinds = np.array([truth[int(i)] for i in found.frame_id])
    named = np.array([*found.classes, "none"])[found.best]
    assert (named == kinds).mean() > 0.9
    assert LabelBook(work.labels_path).counts() == before
    stored = WorkFolder.open(work.path).read_proposals()
    assert stored.classes == ("cube", "rod", "sphere") and np.array_equal(stored.probability, found.probability)
    assert stored.meta["embedding"] == "contrastive+features" and len(stored.meta["next_frames"]) == 10


def test_accept_leaves_people_alone_and_revoke_takes_back(work):
    book = LabelBook(work.labels_path, "ada")
    found = propose(work)
    sure = found.frame_id[found.proposed(0.6)[:, 0]]
    book.add(sure[:1], "odd")  # a person said something of it since
    before = book.counts()
    events = accept(work, 0.6)
    assert events and all(event.author.startswith("proposal (") for event in events)
    assert book.labels_of(sure[:1]) == [("odd",)] and book.labels_of(sure[1:2]) == [("cube",)]
    book.add(sure[1:2], "cube")  # and confirms another
    again = propose(work, ProposeConfig(labels=("cube", "rod", "sphere")))
    assert again.meta["labelled_frames"] == 16  # accepted ones are no evidence
    revoke(work)
    assert book.counts() == before | {"cube": before["cube"] + 1}
    assert revoke(work) == []


def test_refusals(work, tmp_path):
    with pytest.raises(MissingResultError, match="shotsort propose"):
        accept(work)
    with pytest.raises(InputError, match="label 'nosuch': no person gave it"):
        propose(work, ProposeConfig(labels=("nosuch",)))
    with pytest.raises(InputError, match="--head x"):
        ProposeConfig(head="x")
    propose(work)
    with pytest.raises(InputError, match="must lie in"):
        accept(work, 0)
    with pytest.raises(InputError, match="not among the proposals"):
        accept(work, 0.9, ("nosuch",))
    blank = make_work_folder(tmp_path / "blank", n=30, classes=())
    with pytest.raises(InputError, match="0 embedded hits"):
        propose(blank)


def test_the_command(work, tmp_path, capsys):
    assert main(["propose", str(work.path), "--to", str(tmp_path / "p.csv"), "--next", "3"]) == 0
    text = capsys.readouterr().out
    assert "none of these:" in text and text.count("  frame ") == 3 and "  cluster " in text
    assert (tmp_path / "p.csv").read_text().startswith("frame_id,labelled,proposed,none_of_these")
    assert main(["propose", str(work.path), "--accept", "0.6", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["accepted"] and facts["labels"][0]["labelled"] == 5
    assert main(["propose", str(work.path), "--revoke"]) == 0
    assert "taken from" in capsys.readouterr().out
    assert main(["propose", str(work.path), "--next", "-1"]) == 2
