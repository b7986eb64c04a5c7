"""Where OpenAI itself is, told from servers that speak its protocol."""

from __future__ import annotations

from urllib.parse import urlsplit

OPENAI_URL = "https://api.openai.com/v1"
"""Root of OpenAI's own API."""


def at_openai(base_url: str | None) -> bool:
    """Whether ``base_url`` is OpenAI itself or one of its regions; ``None`` stands for it."""
    host = urlsplit(base_url or OPENAI_URL).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")
