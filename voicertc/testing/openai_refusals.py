"""How OpenAI refuses: the words that its endpoints have in common.

Error bodies have OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class RefusedError(Exception):
    """The request is refused; what it carries is OpenAI's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def check_fields(fields: Mapping[str, Any], known: Collection[str], *, required: tuple[str, ...]) -> None:
    """Refuse a field that is not ``known``, and the absence of one that is ``required``."""
    for name in fields:
        if name not in known:
            raise unknown(name)
    for name in required:
        if name not in fields:
            message = f"Missing required parameter: '{name}'."
            raise RefusedError(message, param=name, code="missing_required_parameter")


def check_model(model: object, known: Collection[str]) -> None:
    """Refuse a model that does not exist, or not for this."""
    if model not in known:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise RefusedError(message, status=404, code="model_not_found")


def check_value(fields: Mapping[str, Any], name: str, known: Collection[str]) -> None:
    """Refuse a value of the field ``name`` that is not ``known``."""
    value = fields.get(name)
    if value is not None and value not in known:
        message = f"Invalid value: '{value}'. Supported values are: {', '.join(known)}."
        raise RefusedError(message, param=name, code="invalid_value")


def unknown(name: str) -> RefusedError:
    """Return the refusal of a field that does not exist."""
    return RefusedError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def unsupported(name: str, hint: str = "") -> RefusedError:
    """Return the refusal of a field that this model does not take."""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return RefusedError(message, param=name, code="unsupported_parameter")


def wrong_type(name: str, expected: str) -> RefusedError:
    """Return the refusal of a value of the wrong type."""
    return RefusedError(f"Invalid type for '{name}': expected {expected}.", param=name, code="invalid_type")
