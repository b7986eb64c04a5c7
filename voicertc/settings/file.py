"""The settings file: YAML with ``${VAR}``, read so that every mistake is shown with its line.

YAML as of 1.2: only ``true`` and ``false`` are booleans. PyYAML's 1.1 also takes ``no``, ``on`` and ``off``,
which makes a boolean of the language code of Norwegian and of ``tls: off``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from .layers import Layer, fill_in
from .schema import Path, annotation_at, is_section, value_path

_BOOLEAN = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_file(path: FilePath, environ: Mapping[str, str], root: type) -> Layer:
    """Read the settings file at ``path``, filling in variables from ``environ``."""
    layer = Layer()
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is not None:
            _Reader(path.name, loader, environ, root, layer).section(node, ())
    except OSError as error:
        layer.mistakes.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        layer.mistakes.append(f"{path}: is not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        layer.mistakes.append(f"{path.name}{line}: is not valid YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        layer.mistakes.append(f"{path.name}: is not valid YAML: {str(error).splitlines()[0]}")
    return layer


class _Reader:
    """Walks the nodes of one file into a layer."""

    def __init__(
        self, name: str, loader: _Loader, environ: Mapping[str, str], root: type, layer: Layer
    ) -> None:
        self._name = name
        self._loader = loader
        self._environ = environ
        self._root = root
        self._layer = layer

    def section(self, node: yaml.Node, path: Path) -> None:
        """Put every value under ``node`` into the layer; two spellings of one key are a mistake."""
        if not isinstance(node, yaml.MappingNode):
            self._layer.mistakes.append(
                f"{self._where(node)}: {'.'.join(path) or 'the file'} must hold 'key: value' lines"
            )
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            inner = (*path, str(key_node.value))
            if inner[-1] in seen:
                self._complain(inner, key_node, "stands here for the second time")
            elif is_section(annotation_at(self._root, inner)):
                if not _is_empty(value_node):  # else all its keys are commented out
                    self._section_or_choice(value_node, inner)
            else:
                self._value(inner, value_node)
            seen.add(inner[-1])

    def _section_or_choice(self, node: yaml.Node, path: Path) -> None:
        """Read a section, or the one value that stands for it: ``stt: [openai, pocketsphinx]``."""
        target = value_path(self._root, path)
        if target == path or isinstance(node, yaml.MappingNode):
            self.section(node, path)
        else:
            self._value(target, node)

    def _value(self, path: Path, node: yaml.Node) -> None:
        value = self._loader.construct_object(node, deep=True)
        n_mistakes = len(self._layer.mistakes)
        filled = self._filled_within(value, path, node)
        if len(self._layer.mistakes) > n_mistakes:
            return
        if not isinstance(filled, str) or filled == value:
            self._layer.put(path, filled, self._where(node))
        elif filled:  # a value that came out of its variables empty is as if the key were not there
            self._layer.put_text(path, filled, self._where(node), self._root)

    def _filled_within(self, value: Any, path: Path, node: yaml.Node) -> object:
        """Fill in the texts inside lists and mappings."""
        if isinstance(value, list):
            return [self._filled_within(member, path, node) for member in value]
        if isinstance(value, dict):
            return {key: self._filled_within(member, path, node) for key, member in value.items()}
        return self._filled(value, path, node) if isinstance(value, str) else value

    def _filled(self, text: str, path: Path, node: yaml.Node) -> str:
        return fill_in(text, self._environ, lambda problem: self._complain(path, node, problem))

    def _complain(self, path: Path, node: yaml.Node, problem: str) -> None:
        self._layer.mistakes.append(f"{'.'.join(path)} ({self._where(node)}): {problem}")

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name} line {node.start_mark.line + 1}"


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style
