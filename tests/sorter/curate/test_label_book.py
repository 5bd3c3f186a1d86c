"""The label book: events, undo and redo, several processes, damage."""

import multiprocessing
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorter.core.errors import InputError, ShotsortError, WorkFolderError
from sorter.core.labels import LabelEvent
from sorter.curate import label_book
from sorter.curate.label_book import LabelBook
from sorter.curate.label_state import LabelState


def ids(*values):
    return np.array(values, np.uint64)


@pytest.fixture
def book(tmp_path):
    return LabelBook(tmp_path / "labels.sqlite", author="ada")


def test_labels_survive_a_restart_and_know_who_when_why(book):
    event = book.add(ids(5, 3, 5), "sphere", reason="cluster 0 of density")
    assert (event.revision, event.author, event.reason) == (1, "ada", "cluster 0 of density")
    assert event.frame_id.tolist() == [3, 5] and event.when.endswith("+00:00")
    book.add(ids(5), "bright")
    again = LabelBook(book.path)
    assert again.labels_of(ids(5, 4, 3)) == [("bright", "sphere"), (), ("sphere",)]
    assert again.counts() == {"bright": 1, "sphere": 2}
    assert again.frames_with("sphere").tolist() == [3, 5]
    assert again.revision == 2


def test_ids_use_all_63_bits(book):
    big = ids(2**63 - 1, 0)
    book.add(big, "edge")
    assert LabelBook(book.path).frames_with("edge").tolist() == [0, 2**63 - 1]


def test_undo_and_redo_across_restarts(book):
    book.add(ids(1, 2), "a")
    book.add(ids(2, 3), "a")
    book.remove(ids(1), "a")
    seen = [LabelBook(book.path).frames_with("a").tolist()]
    for _ in range(2):
        LabelBook(book.path).undo()
        seen.append(LabelBook(book.path).frames_with("a").tolist())
    assert seen == [[2, 3], [1, 2, 3], [1, 2]]
    book.undo()
    assert book.labels() == []
    with pytest.raises(InputError, match="nothing to undo"):
        book.undo()
    for expected in ([1, 2], [1, 2, 3], [2, 3]):
        LabelBook(book.path).redo()
        assert book.frames_with("a").tolist() == expected
    with pytest.raises(InputError, match="nothing to redo"):
        book.redo()
    assert book.revision == 9 and len(book.events()) == 9


def test_a_new_word_ends_the_chance_to_redo(book):
    book.add(ids(1), "a")
    book.undo()
    assert book.next_redo.label == "a"
    book.add(ids(2), "b")
    assert book.next_redo is None and book.next_undo.label == "b"


def test_what_changes_nothing_is_no_event(book):
    book.add(ids(1, 2), "a")
    assert book.add(ids(2), "a") is None
    assert book.remove(ids(9), "a") is None
    assert book.revision == 1
    assert book.add(ids(2, 3), "a").frame_id.tolist() == [3]


@pytest.mark.parametrize("label", ["", "  ", "a;b", "line\nbreak", "x" * 101])
def test_a_label_must_fit_a_table(book, label):
    with pytest.raises(InputError, match="label"):
        book.add(ids(1), label)


def test_unknown_label_and_no_frames(book):
    book.add(ids(1), "a")
    for call in (lambda: book.frames_with("b"), lambda: book.remove(ids(1), "b")):
        with pytest.raises(InputError, match=r"label 'b': no frame carries it .labels: a"):
            call()
    with pytest.raises(InputError, match="no frames"):
        book.add(ids(), "a")


actions = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "undo", "redo"]),
        st.sampled_from("ab"),
        st.sets(st.integers(0, 6), min_size=1),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(actions)
def test_book_agrees_with_snapshots_of_plain_sets(tmp_path_factory, steps):
    """Naive reference: a list of whole states, and a pointer into it."""
    book = LabelBook(tmp_path_factory.mktemp("book") / "labels.sqlite")
    history, place = [{"a": set(), "b": set()}], 0
    for kind, label, frames in steps:
        try:
            event = (
                getattr(book, kind)()
                if kind in ("undo", "redo")
                else getattr(book, kind)(np.array(sorted(frames), np.uint64), label)
            )
        except InputError:
            event = None
        now = history[place]
        if kind == "undo":
            assert (event is None) == (place == 0)
            place = max(place - 1, 0)
        elif kind == "redo":
            assert (event is None) == (place == len(history) - 1)
            place = min(place + 1, len(history) - 1)
        else:
            after = {**now, label: now[label] | frames if kind == "add" else now[label] - frames}
            assert (event is None) == (after == now)
            if after != now:
                history[place + 1 :] = [after]
                place += 1
    expected = {word: sorted(frames) for word, frames in history[place].items() if frames}
    fresh = LabelBook(book.path)
    assert {word: fresh.frames_with(word).tolist() for word in fresh.labels()} == expected
    assert {word: book.frames_with(word).tolist() for word in book.labels()} == expected


def test_replay_is_idempotent(book):
    book.add(ids(1, 2), "a")
    book.remove(ids(2), "a")
    book.undo()
    events = book.events()
    once, twice = LabelState(events), LabelState(events + events)
    assert once.members("a").tolist() == twice.members("a").tolist() == [1, 2]
    copy = LabelBook(book.path.with_name("copy.sqlite"))
    assert (copy.restore(events), copy.restore(events)) == (3, 0)
    assert copy.counts() == book.counts() and copy.revision == 3


def test_restore_refuses_another_history(book):
    other = LabelBook(book.path.with_name("other.sqlite"))
    book.add(ids(1), "a")
    other.add(ids(2), "a")
    with pytest.raises(InputError, match="differs"):
        book.restore(other.events())
    other.add(ids(3), "a")
    with pytest.raises(InputError, match="is missing before event 2"):
        LabelBook(book.path.with_name("third.sqlite")).restore(other.events(since=1))


def test_labels_at_an_earlier_revision(book):
    book.add(ids(1), "a")
    book.add(ids(2), "a")
    assert book.state_at(1).members("a").tolist() == [1]


def _write_many(path, first):
    book = LabelBook(path)
    for i in range(10):
        book.add(ids(first + i), "shared")


def test_several_processes_lose_nothing(book):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(book.path, 100 * k)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [event.revision for event in book.events()] == list(range(1, 31))
    assert len(book.frames_with("shared")) == 30


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_damaged_file(book, content):
    book.path.write_bytes(content)
    for call in (book.labels, lambda: book.add(ids(1), "a")):
        with pytest.raises(WorkFolderError, match=r"labels.sqlite: (damaged|not a label book)"):
            call()
    assert book.path.read_bytes() == content


def test_truncated_file(book):
    book.add(np.arange(5000, dtype=np.uint64), "a")
    whole = book.path.read_bytes()
    book.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkFolderError, match="damaged"):
        LabelBook(book.path).labels()


def test_newer_schema(book):
    book.add(ids(1), "a")
    with sqlite3.connect(book.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(WorkFolderError, match="newer shotsort"):
        book.labels()


def test_locked_file(book, monkeypatch):
    book.add(ids(1), "a")
    monkeypatch.setattr(label_book, "BUSY_TIMEOUT_S", 0.1)
    holder = sqlite3.connect(book.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorkFolderError, match="held by another process"):
        book.add(ids(2), "a")
    assert book.frames_with("a").tolist() == [1]
    holder.execute("ROLLBACK")
    holder.close()
    assert book.add(ids(2), "a").revision == 2


def test_a_folder_that_is_not_there(tmp_path):
    book = LabelBook(tmp_path / "gone" / "labels.sqlite")
    assert book.labels() == [] and book.revision == 0
    with pytest.raises(ShotsortError, match="gone"):
        book.add(ids(1), "a")


def test_a_hundred_thousand_random_actions_agree_with_a_list_of_sets():
    """The state after any sequence of giving, taking, undoing and redoing by three people, against sets that are copied."""
    rng = np.random.default_rng(5)
    state, now, past, future = LabelState(), {}, [], []
    n_actions = 100_000
    draws = rng.random(n_actions)
    for revision, draw in enumerate(draws, start=1):
        word, author = f"label{int(draw * 1e6) % 4}", ("ada", "bob", "cy")[int(draw * 1e7) % 3]
        if draw < 0.2 and past:
            event, before = past.pop()
            future.append((event, {**now}))
            now = before
            made = LabelEvent(revision, "undo", event.label, np.empty(0, np.uint64), author, "", "", event.revision)
        elif draw < 0.3 and future:
            event, after = future.pop()
            past.append((event, now))
            now = after
            made = LabelEvent(revision, "redo", event.label, np.empty(0, np.uint64), author, "", "", event.revision)
        else:
            frames = rng.integers(0, 60, int(rng.integers(1, 5))).astype(np.uint64)
            kind = "add" if draw < 0.8 else "remove"
            made = LabelEvent(revision, kind, word, frames, author, "", "")
            past.append((made, now))
            future.clear()
            have = now.get(word, frozenset())
            now = {**now, word: have | set(frames.tolist()) if kind == "add" else have - set(frames.tolist())}
            past = past[-500:] if draw > 0.999 else past
        state.apply(made)
        if revision % 40 == 0 or revision == n_actions:
            found = {name: set(state.members(name).tolist()) for name in state.labels()}
            assert found == {name: set(members) for name, members in now.items() if members}, (
                f"after {revision} actions"
            )
