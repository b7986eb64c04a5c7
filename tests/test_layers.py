"""The house has floors: a file imports only what its own floor allows (the table is the law)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "voicertc"

CORE_VALUES = {f"core.{name}" for name in ("clauses", "events", "facts", "items", "options", "replies")}
FLOOR_1 = {"errors", "logs"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "logs": set(),
    "addresses": FLOOR_1,
    "tls": FLOOR_1 | {"addresses"},
    "core": {"errors"},
    "languages": set(),
    "audio": FLOOR_1,
    "wire": CORE_VALUES | {"errors"},
    "providers": CORE_VALUES | FLOOR_1 | {"audio"},
    "agents": CORE_VALUES | FLOOR_1 | {"languages", "providers.base", "providers.checks", "providers.plan_b"},
    "rtc": FLOOR_1 | {"audio", "addresses"},
    "session": FLOOR_1 | {"core", "audio", "languages", "providers", "agents"},
    "settings": FLOOR_1
    | CORE_VALUES
    | {"addresses", "audio", "providers", "agents", "rtc", "session", "tls", "languages"},
    "calls": FLOOR_1 | CORE_VALUES | {"audio", "rtc", "session", "wire", "__version__"},
    "endpoint": FLOOR_1
    | CORE_VALUES
    | {"agents", "audio", "calls", "languages", "providers"}
    | {"rtc", "services", "session", "settings", "wire"},
}
"""Packages that are not named may import everything below them: server, testing, cli."""

FORBIDDEN_OUTSIDE: dict[str, set[str]] = {
    "core": {"asyncio", "time", "random", "numpy", "logging", "aiohttp", "aiortc", "av", "os", "datetime"},
    "session": {"aiohttp", "aiortc", "aioice", "av"},
    "wire": {"asyncio", "aiohttp", "aiortc", "time"},
    "audio": {"asyncio", "aiohttp", "aiortc"},
    "agents": {"aiohttp", "aiortc"},
    "calls": {"aiohttp", "aiortc"},
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Return ``(ours, outside)``: dotted names below ``voicertc`` and top-level names of other packages."""
    package = path.relative_to(ROOT).parts[:-1]
    ours, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = ".".join(["voicertc", *package[: len(package) - node.level + 1]])
            stem = f"{base}.{node.module}" if node.module else base
            names = [f"{stem}.{alias.name}" for alias in node.names] + [stem]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "voicertc":
                ours.add(name.removeprefix("voicertc").removeprefix("."))
            else:
                outside.add(name.split(".")[0])
    return {name for name in ours if name and not name.startswith("__")}, outside


def is_allowed(imported: str, package: str, allowed: set[str]) -> bool:
    heads = {imported, ".".join(imported.split(".")[:2]), imported.split(".")[0]}
    return imported.split(".")[0] == package or bool(heads & allowed)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_file_imports_only_what_its_floor_allows(path: Path) -> None:
    package = name_of(path).split(".")[0]
    ours, outside = imports_of(path)
    if package in MAY_IMPORT:
        known = {name for name in ours if (ROOT / name.split(".")[0]).exists() or "." not in name}
        wrong = {name for name in known if not is_allowed(name, package, MAY_IMPORT[package])}
        # ``from ..core import events`` names the package too: judged by what is taken from it.
        wrong -= {name for name in wrong if any(other.startswith(f"{name}.") for other in ours)}
        assert not wrong, f"{name_of(path)} must not import {sorted(wrong)}"
    assert not outside & FORBIDDEN_OUTSIDE.get(package, set())


def test_the_core_knows_no_clock_no_sound_and_no_network() -> None:
    standard = {
        "__future__",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "json",
        "re",
        "types",
        "typing",
    }
    for path in (ROOT / "core").glob("*.py"):
        assert imports_of(path)[1] <= standard, path.name
