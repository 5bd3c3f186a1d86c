"""One made work folder for reading; a fresh one where a test writes."""

import shutil

import pytest

from apps.explorer.run import Library
from apps.explorer.state import Explorer
from sorter.curate.label_book import LabelBook
from sorter.io.workfolder import WorkFolder
from tests.workfolders import make_work_folder


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make_work_folder(tmp_path_factory.mktemp("explorer"), n=300)


@pytest.fixture
def work(made, tmp_path):
    return WorkFolder.open(shutil.copytree(made.path, tmp_path / "work"))


@pytest.fixture
def state(work):
    return Explorer(Library(work), LabelBook(work.labels_path, author="ada"))
