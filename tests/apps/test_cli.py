"""The command itself: help, start-up, errors in one line."""

import importlib
import subprocess
import sys
import time

import pytest

from apps.cli.__main__ import COMMANDS, main
from sorter.core.errors import InputError

HEAVY = ("torch", "lightning", "umap", "hdbscan", "bokeh", "sklearn", "matplotlib")
CALL = """
import sys
from apps.cli.__main__ import main
try:
    main({argv!r})
except SystemExit:
    pass
sys.exit(any(name in sys.modules for name in {heavy!r}))
"""


def imports_heavy(argv, heavy=HEAVY):
    return subprocess.run(
        [sys.executable, "-c", CALL.format(argv=argv, heavy=heavy)], stdout=subprocess.DEVNULL
    ).returncode


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"shotsort {name}" in text.split("example:")[1]


def test_starts_at_once():
    start = time.perf_counter()
    assert imports_heavy(["--help"]) == 0
    assert (
        time.perf_counter() - start < 10
    )  # far above what it takes alone, far below what torch takes on a busy machine


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_shows_its_help_without_torch(name):
    assert imports_heavy([name, "--help"], ("torch",)) == 0


def test_user_error_is_one_line_and_exit_2(monkeypatch, capsys):
    module = importlib.import_module("apps.cli.info")

    def fail(args):
        raise InputError("x.h5: broken; mend it")

    monkeypatch.setattr(module, "main", fail)
    assert main(["info", "x.h5"]) == 2
    assert capsys.readouterr().err == "shotsort info: x.h5: broken; mend it\n"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--embedding", "nosuch"], "choose from pretrained, features, pca, contrastive, factorvae"),
        (["--device", "tpu"], "choose one of auto, cpu, cuda"),
        (["--min-cluster-size", "0"], "at least 2"),
        (["--keep", "colour"], "orientation, size"),
    ],
)
def test_sort_refuses_options_before_it_starts(option, says, tmp_path, capsys):
    assert main(["sort", str(tmp_path / "run.h5"), "-w", str(tmp_path / "work"), *option]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not (tmp_path / "work").exists()


def test_unknown_command_exits_2():
    with pytest.raises(SystemExit) as stop:
        main(["paint"])
    assert stop.value.code == 2
