"""The set-up scripts, with stand-ins for python3, apt-get and id that write down what they are asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

PYTHON = """#!/bin/sh
# A Python of version 3.$MINOR, with or without ensurepip, whose venv module makes a copy of this very file.
case "$*" in
*version_info\\ \\<*) [ "$MINOR" -ge 11 ] ;;
*"import ensurepip"*) [ -e "$LOG.ensurepip" ] ;;
*"import pip"*) true ;;
*-venv*) echo "python3.$MINOR-venv" ;;
-V) echo "Python 3.$MINOR.0" ;;
"-m venv "*) echo "venv" >> "$LOG"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
"-m pip install "*) for last; do :; done; echo "pip ${last##*/}" >> "$LOG"; [ ! -e "$LOG.offline" ] ;;
"-m voicertc "*) shift 2; echo "voicertc $*" ;;
*) echo "unexpected: $*"; exit 99 ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$LOG"
case "$1" in install) touch "$LOG.ensurepip" ;; esac
"""


class Clone:
    """A clone with only what the scripts need, in a world of stand-ins."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "clone with spaces"
        self.bin = directory / "bin"
        self.log = directory / "log"
        self.minor = 12
        self.user = 0
        shutil.copytree(REPOSITORY / "scripts", self.root / "scripts")
        (self.root / "pyproject.toml").write_text("[project]")
        self.bin.mkdir()
        for tool in ("bash", "sh", "cat", "cp", "dirname", "mkdir", "rm", "sha256sum", "touch"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.put("python3", PYTHON)
        self.put("apt-get", APT_GET)
        self.has_ensurepip(True)

    def put(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def has_ensurepip(self, has_it: bool) -> None:
        Path(f"{self.log}.ensurepip").touch() if has_it else Path(f"{self.log}.ensurepip").unlink()

    def serve(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.put("id", f"#!/bin/sh\necho {self.user}\n")
        self.log.write_text("")
        return subprocess.run(
            [self.root / "scripts" / "serve", *arguments],
            env={"PATH": str(self.bin), "LOG": str(self.log), "MINOR": str(self.minor)},
            capture_output=True,
            text=True,
            timeout=30,
        )

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_the_first_start_installs_and_the_second_does_not(clone: Clone) -> None:
    ran = clone.serve("--port", "1", "--set", "a b=c")
    assert (ran.returncode, ran.stdout) == (0, "voicertc serve --port 1 --set a b=c\n")
    assert clone.asked() == ["venv", "pip clone with spaces[local]"]
    ran = clone.serve()
    assert (ran.stdout, ran.stderr, clone.asked()) == ("voicertc serve\n", "", [])


def test_a_changed_pyproject_installs_again_into_the_same_environment(clone: Clone) -> None:
    clone.serve()
    (clone.root / "pyproject.toml").write_text("[project] # more")
    clone.serve()
    assert clone.asked() == ["pip clone with spaces[local]"]


def test_an_installation_that_failed_is_done_again(clone: Clone) -> None:
    offline = Path(f"{clone.log}.offline")
    offline.touch()
    ran = clone.serve()
    assert (ran.returncode, ran.stdout) == (1, "")
    offline.unlink()
    assert clone.serve().stdout == "voicertc serve\n"
    assert clone.asked() == ["pip clone with spaces[local]"]


def test_an_environment_that_is_broken_is_made_anew(clone: Clone) -> None:
    clone.serve()
    (clone.root / ".venv" / "bin" / "python").write_text("#!/nowhere/python3\n")
    clone.serve()
    assert clone.asked() == ["venv", "pip clone with spaces[local]"]


def test_as_root_debians_missing_module_is_installed(clone: Clone) -> None:
    clone.has_ensurepip(False)
    assert clone.serve().returncode == 0
    assert clone.asked() == [
        "apt-get update -q",
        "apt-get install -y -q --no-install-recommends python3.12-venv",
        "venv",
        "pip clone with spaces[local]",
    ]


def test_as_somebody_else_the_one_command_is_named(clone: Clone) -> None:
    clone.has_ensurepip(False)
    clone.user = 1000
    ran = clone.serve()
    assert (ran.returncode, clone.asked()) == (1, [])
    assert ran.stderr == "Something is missing; this installs it:  sudo apt-get install -y python3.12-venv\n"


def test_elsewhere_than_on_debian_the_package_is_named(clone: Clone) -> None:
    clone.has_ensurepip(False)
    (clone.bin / "apt-get").unlink()
    ran = clone.serve()
    assert ran.returncode == 1
    assert ran.stderr == "Please install, with your system's package manager: python3.12-venv\n"


def test_a_python_that_is_too_old_is_named(clone: Clone) -> None:
    clone.minor = 10
    ran = clone.serve()
    assert ran.returncode == 1
    assert ran.stderr.startswith("voicertc needs Python 3.11 or newer, and python3 is Python 3.10.0.")


def test_no_python_at_all_is_told(clone: Clone) -> None:
    (clone.bin / "python3").unlink()
    ran = clone.serve()
    assert ran.returncode == 1
    assert ran.stderr.startswith("voicertc needs Python 3.11 or newer, and there is no python3.")


def test_a_newer_python_beside_an_old_one_is_found(clone: Clone) -> None:
    clone.put("python3.13", PYTHON.replace("$MINOR", "13"))
    clone.minor = 10
    ran = clone.serve()
    assert (ran.returncode, ran.stdout) == (0, "voicertc serve\n")
    assert "(Python 3.13.0)" in ran.stderr


@pytest.mark.parametrize("script", ["scripts/serve", "scripts/test", ".ci/run"])
def test_a_script_is_executable_and_valid(script: str) -> None:
    path = REPOSITORY / script
    assert path.stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", path], check=True)


def test_a_wrong_argument_of_the_test_script_is_told() -> None:
    ran = subprocess.run([REPOSITORY / "scripts/test", "fast"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, "usage: scripts/test [quick]\n")
