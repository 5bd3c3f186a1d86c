"""Writer and reader of the frame store: what counts, what a kill or a full disk leaves."""

import errno
import os
import pickle

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from sorter.core.errors import InputError, WorkFolderError
from sorter.core.frames import ArrayFrameStore, FrameStore
from sorter.core.geometry import Geometry
from sorter.core.identity import frame_ids
from sorter.io import zarr_writer
from sorter.io.zarr_store import Source, StoreInfo, ZarrFrameStore, decode_text, encode_text
from sorter.io.zarr_writer import FrameBlock, FrameWriter, block_frames, create_store

SHAPE = (12, 10)
FRAMES = np.random.default_rng(0).poisson(1.0, (300, *SHAPE)).astype(np.uint16)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Shards of 64 frames, a commit every 128, so that a few hundred frames cross all borders."""
    monkeypatch.setattr(zarr_writer, "CHUNK_BYTES", 16 * FRAMES[0].nbytes)
    monkeypatch.setattr(zarr_writer, "CHUNKS_PER_SHARD", 4)
    monkeypatch.setattr(zarr_writer, "SHARDS_PER_COMMIT", 2)


def new_store(path):
    arrays = {
        "mask": np.zeros(SHAPE, bool),
        "good_fraction": np.ones(SHAPE, np.float32),
        "mask_recorded": np.zeros(SHAPE, np.uint32),
        "bad_count": np.zeros(SHAPE, np.uint32),
    }
    create_store(path, StoreInfo("photon", Geometry(SHAPE), 0), np.dtype(np.uint16), arrays)


def block(start, stop, source=0, **columns):
    ids = frame_ids(f"run{source}", "data", np.arange(start, stop))
    named = columns or {
        "delay_s": np.arange(start, stop) / 2,
        "sample": np.array([f"é{i}" for i in range(start, stop)]),
    }
    return FrameBlock(FRAMES[start:stop], ids, source, start, named, {})


def fill(path, step=37, stop=300):
    writer = FrameWriter(path)
    place = writer.source(Source("run0.h5", "data", "run0", 300))
    writer.reserve(stop)
    for start in range(writer.sources[place].n_frames, stop, step):
        writer.append(block(start, min(start + step, stop)))
    return writer


@pytest.mark.parametrize("step", [1, 37, 64, 300])
def test_what_is_written_is_read_whatever_the_blocks(tmp_path, step):
    new_store(tmp_path / "f")
    fill(tmp_path / "f", step).commit()
    store = ZarrFrameStore(tmp_path / "f")
    assert isinstance(store, FrameStore) and len(store) == 300
    np.testing.assert_array_equal(store.read(store.frame_ids), FRAMES)
    assert store.columns["sample"][[0, 299]].tolist() == ["é0", "é299"] and store.columns["delay_s"][7] == 3.5
    np.testing.assert_array_equal(store.source_index, np.arange(300))


def test_same_answers_as_the_store_in_memory(tmp_path):
    new_store(tmp_path / "f")
    fill(tmp_path / "f").commit()
    store = ZarrFrameStore(tmp_path / "f")
    memory = ArrayFrameStore(FRAMES, store.frame_ids, columns=store.columns)
    ids = np.random.default_rng(1).permutation(store.frame_ids)[:90]
    for one in (store, pickle.loads(pickle.dumps(store))):
        chosen, expected = one.select(ids), memory.select(ids)
        np.testing.assert_array_equal(chosen.read(ids[5:9]), expected.read(ids[5:9]))
        np.testing.assert_array_equal(chosen.columns["delay_s"], expected.columns["delay_s"])
        for (a, b), (c, d) in zip(chosen.chunks(13), expected.chunks(13), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)
    with pytest.raises(InputError, match="not in this store"):
        store.select(ids[:5]).read(ids[5:6])


@pytest.mark.parametrize("n", [300, 90, 1, 0])
@pytest.mark.parametrize("ordered", [True, False])
def test_blocks_hold_every_frame_once_in_order(tmp_path, n, ordered):
    new_store(tmp_path / "f")
    fill(tmp_path / "f").commit()
    store = ZarrFrameStore(tmp_path / "f")
    rows = np.random.default_rng(n).permutation(300)[:n]
    chosen = store.select(store.frame_ids[np.sort(rows) if ordered else rows])
    found = list(chosen.blocks())
    assert np.array_equal(np.concatenate([store.frame_ids[:0], *(ids for ids, _ in found)]), chosen.frame_ids)
    for ids, frames in found:
        np.testing.assert_array_equal(frames, chosen.read(ids))
    assert len(found) <= 300 // 8 + 1 or not ordered
    for (a, b), start in zip(chosen.chunks(13), range(0, n, 13), strict=True):
        np.testing.assert_array_equal(a, chosen.frame_ids[start : start + 13])
        np.testing.assert_array_equal(b, chosen.read(a))


def test_rows_count_only_from_their_commit_on(tmp_path):
    new_store(tmp_path / "f")
    writer = fill(tmp_path / "f", 10, 150)
    assert writer.n_frames == 150 and len(ZarrFrameStore(tmp_path / "f")) == 130  # the commit after two shards
    again = fill(tmp_path / "f", 50)  # a new writer goes on behind the last commit
    again.commit()
    np.testing.assert_array_equal(ZarrFrameStore(tmp_path / "f").read(ZarrFrameStore(tmp_path / "f").frame_ids), FRAMES)


def test_sources_with_other_columns(tmp_path):
    new_store(tmp_path / "f")
    writer = FrameWriter(tmp_path / "f")
    writer.reserve(20)
    for number, columns in enumerate([{"a": np.arange(10.0)}, {"b": np.array(["long text"] * 10)}]):
        place = writer.source(Source(f"run{number}", "data", f"run{number}", 10))
        writer.append(block(0, 10, place, **columns))
    writer.commit()
    columns = ZarrFrameStore(tmp_path / "f").columns
    assert (
        np.isnan(columns["a"][10:]).all()
        and columns["b"][:10].tolist() == [""] * 10
        and columns["b"][10] == "long text"
    )
    with pytest.raises(InputError, match="a: is of another kind"):
        writer.append(FrameBlock(FRAMES[:1], np.array([1], np.uint64), 0, 10, {"a": np.array(["text"])}, {}))
        writer.commit()


def test_a_full_disk_at_any_write_is_one_line_and_what_counted_stays(tmp_path, monkeypatch):
    new_store(tmp_path / "f")
    fill(tmp_path / "f", stop=100).commit()
    left = [0]
    real_set, real_replace, real_pwrite = LocalStore.set, os.replace, os.pwrite

    def use_room():
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def full_set(self, key, value, **options):
        use_room()
        return await real_set(self, key, value, **options)

    def full(real):
        return lambda *arguments: use_room() or real(*arguments)

    monkeypatch.setattr(LocalStore, "set", full_set)
    monkeypatch.setattr("sorter.io.whole.os.replace", full(real_replace))
    monkeypatch.setattr("sorter.io.plain.os.pwrite", full(real_pwrite))
    writes = 0
    while True:
        left[0] = writes
        try:
            fill(tmp_path / "f", stop=170).commit()
            break
        except WorkFolderError as error:
            assert "No space left on device" in str(error) and "\n" not in str(error)
        left[0] = 10**6
        store = ZarrFrameStore(tmp_path / "f")
        np.testing.assert_array_equal(store.read(store.frame_ids), FRAMES[: len(store)])
        assert store.columns["sample"].tolist() == [f"é{i}" for i in range(len(store))]
        writes += 1
    assert writes > 5 and len(ZarrFrameStore(tmp_path / "f")) == 170


def test_read_only_folder(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(zarr_writer.zarr, "open_group", refuse)
    with pytest.raises(WorkFolderError, match="cannot be written"):
        new_store(tmp_path / "f")


def test_newer_schema_and_strangers(tmp_path):
    new_store(tmp_path / "f")
    group = zarr.open_group(tmp_path / "f", mode="r+")
    group.attrs["shotsort"] = {**group.attrs["shotsort"], "schema_version": 99}
    with pytest.raises(WorkFolderError, match="newer shotsort"):
        ZarrFrameStore(tmp_path / "f")
    zarr.open_group(tmp_path / "g", mode="w")
    for name in ("g", "nowhere"):
        with pytest.raises(WorkFolderError, match="shotsort ingest"):
            ZarrFrameStore(tmp_path / name)


def test_text_round_trip():
    words = np.array(["", "a", "Tröpfchen", "二重"])
    assert decode_text(encode_text(words)).tolist() == words.tolist()
    assert len(decode_text(encode_text(words[:0]))) == 0


def test_chunks_are_about_two_megabytes(monkeypatch):
    monkeypatch.undo()
    assert (
        block_frames((128, 128), np.dtype(np.uint16)) == 1024 // 16
        and block_frames((4096, 4096), np.dtype(np.float32)) == 1
    )


def test_frames_that_were_skipped_can_come_later(tmp_path):
    new_store(tmp_path / "f")
    writer = FrameWriter(tmp_path / "f")
    place = writer.source(Source("run0.h5", "data", "run0", 0))
    writer.reserve(60)
    with pytest.raises(InputError, match="comes after 0 frames"):
        writer.append(block(20, 30))
    for start, stop in ((20, 30), (0, 10), (50, 60)):
        writer.append(block(start, stop), gaps=True)
        writer.commit()
    assert FrameWriter(tmp_path / "f").missing(place, 70) == [(10, 20), (30, 50), (60, 70)]
    writer = FrameWriter(tmp_path / "f")
    for start, stop in writer.missing(place, 60):
        writer.append(block(start, stop), gaps=True)
    writer.commit()
    store = ZarrFrameStore(tmp_path / "f")
    assert writer.missing(place, 60) == [] and store.info.sources[0].n_frames == 60
    np.testing.assert_array_equal(store.read(frame_ids("run0", "data", np.arange(60))), FRAMES[:60])


def test_without_gaps_the_rest_is_missing(tmp_path):
    new_store(tmp_path / "f")
    writer = fill(tmp_path / "f", 37, 74)
    writer.commit()
    assert writer.missing(0, 74) == [] and writer.missing(0, 80) == [(74, 80)]


def test_frames_come_a_few_at_a_time_to_a_store_that_was_written_at_once(tmp_path):
    new_store(tmp_path / "f")
    fill(tmp_path / "f", stop=150).commit()
    writer = FrameWriter(tmp_path / "f", by_rows=True)
    group = zarr.open_group(tmp_path / "f", mode="r")
    assert not group["columns/delay_s"].compressors and group["columns/sample"].compressors
    writer.reserve(150)
    for start in range(150, 300, 7):
        stop = min(start + 7, 300)
        more = {"delay_s": np.arange(start, stop) / 2, "row": np.arange(start, stop)}
        writer.append(block(start, stop, **more))
        writer.commit()
        store = ZarrFrameStore(tmp_path / "f")
        np.testing.assert_array_equal(store.read(store.frame_ids[-9:]), FRAMES[stop - 9 : stop])
    np.testing.assert_array_equal(store.read(store.frame_ids), FRAMES)
    np.testing.assert_array_equal(store.columns["delay_s"], np.arange(300) / 2)
    np.testing.assert_array_equal(store.columns["row"], np.where(np.arange(300) < 150, 0, np.arange(300)))
    assert store.columns["sample"][[149, 150]].tolist() == ["é149", ""]


def test_what_a_killed_writer_left_is_no_row_of_another_source(tmp_path):
    new_store(tmp_path / "f")
    writer = FrameWriter(tmp_path / "f", by_rows=True)
    writer.source(Source("run0.h5", "data", "run0", 10))
    writer.reserve(10)
    writer.append(block(0, 5, a=np.arange(5.0)))
    writer.commit()
    writer.append(block(5, 10, a=np.arange(5.0)))
    writer._write_table()  # and killed before the rows counted
    left = tmp_path / "f" / "columns" / ".a.0.partial"
    left.mkdir()
    again = FrameWriter(tmp_path / "f", by_rows=True)
    again.append(block(0, 5, again.source(Source("run1.h5", "data", "run1", 5)), b=np.arange(5.0)))
    again.commit()
    columns = ZarrFrameStore(tmp_path / "f").columns
    assert sorted(columns) == ["a", "b"] and not left.exists()
    assert np.isnan(columns["a"][5:]).all() and columns["b"][5:].tolist() == [0, 1, 2, 3, 4]
