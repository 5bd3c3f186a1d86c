"""Files are written whole or not at all, and what the disk refuses is one line."""

import pytest

from sorter.core.errors import InputError, WorkFolderError
from sorter.io.whole import clear_leftovers, whole_file, write_text_whole


def test_interrupted_writing_leaves_nothing(tmp_path):
    target = tmp_path / "a.npy"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(target) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(WorkFolderError, match="cannot be written"), whole_file(target):
        raise OSError(28, "No space left on device")


HDF5_PARAGRAPH = (
    "Unable to create file (file write failed: time = Sat\n, errno = 28, error message = 'No space left', buf = 0x0)"
)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), OSError(HDF5_PARAGRAPH), RuntimeError("No space left\nat")]
)
def test_a_full_disk_is_one_line(tmp_path, error):
    with pytest.raises(WorkFolderError) as found, whole_file(tmp_path / "a.h5"):
        raise error
    assert (
        str(found.value) == f"{tmp_path}/a.h5: cannot be written (No space left); free space or choose another folder"
    )


def test_only_files_are_replaced(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        write_text_whole(tmp_path, "text")
    with pytest.raises(InputError, match="/dev/null: is no file"):
        write_text_whole(type(tmp_path)("/dev/null"), "text")


def test_what_a_kill_left_is_removed_and_what_it_took_away_is_back(tmp_path):
    for name in (".a.1.old", ".a.1.partial", ".b.2.old", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / ".c.3.partial").write_text("half")
    clear_leftovers(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["in", "in/a", "in/b"]
