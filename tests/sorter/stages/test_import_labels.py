"""Labels from a CSV file."""

import numpy as np
import pytest

from apps.cli.__main__ import main
from sorter.core.errors import InputError
from sorter.curate.classes import LabelClass, define_class
from sorter.curate.label_book import LabelBook
from sorter.stages.label import import_labels
from tests.workfolders import make_work_folder


@pytest.fixture
def work(tmp_path):
    return make_work_folder(tmp_path, n=40, results=False)


def write(tmp_path, *rows):
    path = tmp_path / "labels.csv"
    path.write_text("frame_id,label\n" + "".join(f"{frame},{words}\n" for frame, words in rows))
    return path


def test_labels_come_in_and_a_second_time_change_nothing(work, tmp_path, capsys):
    ids = work.frames().frame_ids
    path = write(tmp_path, (ids[0], "cube"), (ids[1], "cube; bent"), (ids[2], ""))
    assert main(["label", str(work.path), "--import", str(path), "--author", "ada"]) == 0
    assert "'cube' given to 2 frames (imported from labels.csv)" in capsys.readouterr().out
    book = LabelBook(work.labels_path)
    assert np.array_equal(np.sort(book.frames_with("cube")), np.sort(ids[:2]))
    assert book.frames_with("bent").tolist() == [ids[1]] and import_labels(work, path, author="ada") == []


def test_unknown_classes_are_listed_with_their_lines_and_nothing_is_given(work, tmp_path):
    ids = work.frames().frame_ids
    define_class(work.classes_path, LabelClass("cube"))
    path = write(tmp_path, (ids[0], "cube"), (ids[1], "cub"), (ids[2], "rodd"), (ids[3], "cub"))
    with pytest.raises(InputError, match=r"'cub' \(line 3\), 'rodd' \(line 4\)"):
        import_labels(work, path)
    assert LabelBook(work.labels_path).labels() == []
    assert len(import_labels(work, path, new_classes=True)) == 3


@pytest.mark.parametrize(
    ("text", "word"),
    [("frame,label\n1,a\n", "no column 'frame_id'"), ("frame_id,label\nx,a\n", "line 2"), ("frame_id,label\n1,\n", "no frame"),
     ("frame_id,label\n1,a\n", "frame 1 .* not in this work folder")],
)  # fmt: skip
def test_files_that_hold_no_labels_of_this_run(work, tmp_path, text, word):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=word):
        import_labels(work, path)
    with pytest.raises(InputError, match="cannot be read"):
        import_labels(work, tmp_path / "none.csv")
