"""What all tests share: browser tests must run where they are required to."""

import os

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With SHOTSORT_REQUIRE_BROWSER set, a skipped browser test is a failed one."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and "browser" in item.keywords and os.environ.get("SHOTSORT_REQUIRE_BROWSER"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: browser tests are required here, but: {call.excinfo.value}"
