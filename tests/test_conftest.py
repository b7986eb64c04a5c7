from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
import pytest

def test_skips_itself():
    pytest.skip("no violin")

@pytest.mark.skip(reason="no bow")
def test_is_marked():
    pass

def test_runs():
    pass

@pytest.mark.xfail(strict=False)
def test_is_known_to_fail():
    assert False
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(test_one=SKIPPING)
    pytester.makepyfile(test_two="import pytest\npytest.skip('no hall', allow_module_level=True)")
    return pytester


def test_a_skip_fails_in_ci_and_says_what_is_missing(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest("-p", "no:cacheprovider", "--continue-on-collection-errors")
    assert result.parseoutcomes() == {"failed": 1, "errors": 2, "passed": 1, "xfailed": 1}
    for missing in ("no violin", "no bow", "no hall"):
        result.stdout.fnmatch_lines([f"*skipped in CI, where every test has to run: {missing}*"])


def test_a_skip_is_a_skip_elsewhere(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    result = suite.runpytest("-p", "no:cacheprovider")
    assert result.parseoutcomes() == {"skipped": 3, "passed": 1, "xfailed": 1}
