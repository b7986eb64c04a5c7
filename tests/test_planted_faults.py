"""The faults that ``scripts/planted_faults`` plants follow the code, so that each can be planted."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAULTS = tomllib.loads((ROOT / "scripts" / "planted_faults.toml").read_text(encoding="utf-8"))["fault"]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["name"] for fault in FAULTS])
def test_a_fault_has_one_place_in_the_code_and_a_test_that_is_to_notice_it(fault: dict[str, str]) -> None:
    assert (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["right"]) == 1
    assert fault["right"] != fault["wrong"]
    for named in fault["tests"].split():
        path, _, name = named.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


def test_no_two_faults_have_one_name() -> None:
    assert max(Counter(fault["name"] for fault in FAULTS).values()) == 1
