"""Where settings come from: flags, environment and file, each read into one ``Layer``.

A layer is a tree of values with the place each was written (a flag, a variable, a line), so that a mistake
can be shown where it stands. Reading never raises: what cannot be read is a mistake of the layer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .schema import Path, annotation_at, is_sequence, value_path

PREFIX = "VOICERTC_"
_TESTS_PREFIX = "VOICERTC_TEST_"
"""Variables of the test suite, which are no settings."""

_FOREIGN = {"OPENAI_API_KEY": ("openai", "api_key"), "OPENAI_BASE_URL": ("openai", "base_url")}
"""Variables of other programs that are understood too; a VOICERTC_ variable for the same key wins."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}?")


@dataclass
class Layer:
    """What one source says: a tree of values, and for every path in it where it was written."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)

    def put(self, path: Path, value: object, origin: str) -> None:
        """Set the value at ``path``; one that stands where a section should be is kept, and found later.

        The last one counts: a variable of ours after another program's, ``stt.engine`` after ``stt``.
        """
        node = self.values
        for depth, part in enumerate(path[:-1], start=1):
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                self.mistakes.append(f"{'.'.join(path)} ({origin}): contradicts {self.origins[path[:depth]]}")
                return
            node = inner
        if isinstance(node.get(path[-1]), dict):
            self.mistakes.append(f"{'.'.join(path)} ({origin}): is a section and takes no value itself")
            return
        node[path[-1]] = value
        self.origins[path] = origin

    def put_text(self, path: Path, text: str, origin: str, root: type) -> None:
        """Set the value that ``text`` stands for: ``null``, a list with commas or in JSON, or the text."""
        path = value_path(root, path)
        if text == "null":
            self.put(path, None, origin)
        elif not is_sequence(annotation_at(root, path)):
            self.put(path, text, origin)
        elif not text.startswith("["):
            self.put(path, [part.strip() for part in text.split(",") if part.strip()], origin)
        else:
            try:
                self.put(path, json.loads(text), origin)
            except ValueError as error:
                self.mistakes.append(
                    f"{'.'.join(path)} ({origin}): begins like a JSON list and is none: {error}"
                )

    def drop(self, path: Path) -> bool:
        """Forget the value at ``path``, so that the rest can still be read; tell whether there was one."""
        node: Any = self.values
        for part in path[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] not in node:
            return False
        del node[path[-1]]
        return True

    def origin(self, path: Path) -> str | None:
        """Return where the value at ``path`` was written, or a part of it, or what it is a part of."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.origins:
                return self.origins[path[:depth]]
        return next((origin for known, origin in self.origins.items() if known[: len(path)] == path), None)


def read_flags(flags: Mapping[str, object], root: type) -> Layer:
    """Read ``{"server.port": 8080}``; ``None`` means that the flag was not given."""
    layer = Layer()
    for key, value in flags.items():
        path = tuple(key.split("."))
        if isinstance(value, str):
            layer.put_text(path, value, "flag", root)
        elif value is not None:
            layer.put(value_path(root, path), value, "flag")
    return layer


def read_environment(environ: Mapping[str, str], root: type) -> Layer:
    """Read ``VOICERTC_SERVER__PORT=8080`` and the like; an empty variable counts as not set."""
    layer = Layer()
    for name, known in _FOREIGN.items():
        if environ.get(name):
            layer.put(known, environ[name], name)
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and not name.startswith(_TESTS_PREFIX) and text:
            path = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
            layer.put_text(path, text, name, root)
    return layer


def fill_in(text: str, environ: Mapping[str, str], complain: Callable[[str], None]) -> str:
    """Replace ``${VAR}`` and ``${VAR:-default}``; ``$${`` stays ``${``.

    ``complain`` is told of each variable that is not set and has no default.
    """

    def value_of(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
        name, default = match.group(1), match.group(2)
        if name is None:
            complain(f"{match.group()} is not a variable; write ${{NAME}} or ${{NAME:-default}}")
        elif environ.get(name):
            return environ[name]
        elif default is None and name not in environ:
            complain(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return default or ""

    return _PLACEHOLDER.sub(value_of, text)
