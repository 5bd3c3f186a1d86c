"""A page that asks for a token, and may only be read."""

import re

import pytest

from tests.browser.conftest import Page, serving
from tests.workfolders import make_work_folder

pytestmark = pytest.mark.browser


def test_with_a_token_the_page_opens_and_read_only_changes_nothing(chromium, tmp_path):
    work = make_work_folder(tmp_path, n=60)
    with serving(work, "--token", "letmein-42", "--read-only") as (url, _):
        plain = re.sub(r"\?.*", "", url)
        fresh = chromium.new_context()
        stranger = fresh.new_page()
        stranger.set_default_timeout(120_000)
        stranger.goto(plain)
        stranger.fill("[name=token]", "wrong")
        stranger.click("button")
        stranger.wait_for_selector("text=that was not it")
        stranger.fill("[name=token]", "letmein-42")
        stranger.click("button")
        stranger.wait_for_selector("body[data-ready=yes]")
        fresh.close()
        page = Page(chromium, url)
        page.pick_cluster(0)
        page.label("mine")
        page.expect_text("toast", "read-only")
        page.close()
    assert not work.labels_path.exists()
