"""The list of classes, and how two labellers are compared."""

import json

import numpy as np
import pytest

from sorter.core.errors import InputError, WorkFolderError
from sorter.curate.classes import LabelClass, define_class, read_classes, remove_class
from sorter.curate.label_book import LabelBook
from sorter.curate.labellers import agreement


def ids(*numbers):
    return np.array(numbers, np.uint64)


def test_classes_keep_their_order_get_free_digits_and_change_in_place(tmp_path):
    path = tmp_path / "classes.json"
    assert read_classes(path) == []
    define_class(path, LabelClass("sphere"), "ada")
    define_class(path, LabelClass("rod", key="d", color="#123456", note="long ones"))
    changed = define_class(path, LabelClass("sphere", note="round"))
    assert changed.key == "1", "what is left empty is kept"
    assert [(c.name, c.key, c.note) for c in read_classes(path)] == [
        ("sphere", "1", "round"),
        ("rod", "d", "long ones"),
    ]
    remove_class(path, "sphere")
    assert define_class(path, LabelClass("cube")).key == "1", "the key is free again"


@pytest.mark.parametrize(
    ("wanted", "word"),
    [(LabelClass("a;b"), "label"), (LabelClass("x", key="n"), "may have"), (LabelClass("x", key="1"), "that of the class"),
     (LabelClass("x", color="red"), "#rrggbb"), (LabelClass(" "), "label")],
)  # fmt: skip
def test_classes_that_cannot_be(tmp_path, wanted, word):
    path = tmp_path / "classes.json"
    define_class(path, LabelClass("taken"))
    with pytest.raises(InputError, match=word):
        define_class(path, wanted)
    assert [c.name for c in read_classes(path)] == ["taken"]


def test_a_damaged_list_is_said(tmp_path):
    path = tmp_path / "classes.json"
    for text in (
        "no json",
        "[]",
        json.dumps({"schema_version": 99, "classes": []}),
        '{"schema_version": 1, "classes": [{}]}',
    ):
        path.write_text(text)
        with pytest.raises(WorkFolderError, match=r"classes\.json"):
            read_classes(path)
    with pytest.raises(InputError, match="not defined"):
        remove_class(tmp_path / "none.json", "x")


def test_two_labellers_are_compared_on_what_both_labelled(tmp_path):
    ada = LabelBook(tmp_path / "labels.sqlite", "ada")
    bob = ada.by("bob")
    ada.add(ids(1, 2, 3, 4), "sphere")
    ada.add(ids(5, 6), "rod")
    assert len(bob.add(ids(1, 2, 9), "sphere").frame_id) == 3, "bob's own word, though ada said so before"
    assert bob.add(ids(1, 2), "sphere") is None
    bob.add(ids(3, 5, 6), "rod")
    found = agreement(ada.state(), "ada", "bob")
    assert (found.n_both, found.same) == (5, 4) and found.disputes == {("sphere", "rod"): 1}
    assert found.frame_id.tolist() == [3]
    observed, expected = 4 / 5, (3 * 2 + 2 * 3) / 25
    assert found.kappa == pytest.approx((observed - expected) / (1 - expected))
    bob.undo()
    assert agreement(ada.state(), "ada", "bob").n_both == 2
    assert set(ada.frames_with("sphere").tolist()) == {1, 2, 3, 4, 9}
    assert agreement(ada.state(), "ada", "nobody").kappa is None


def test_a_label_that_another_took_away_can_be_given_again(tmp_path):
    ada = LabelBook(tmp_path / "labels.sqlite", "ada")
    ada.add(ids(1), "sphere")
    ada.by("bob").remove(ids(1), "sphere")
    assert ada.add(ids(1), "sphere") is not None
    assert ada.frames_with("sphere").tolist() == [1]
