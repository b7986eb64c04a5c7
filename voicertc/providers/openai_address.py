"""Where OpenAI itself is, told from servers that speak its protocol."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

OPENAI_URL = "https://api.openai.com/v1"
"""Root of OpenAI's own API."""


def at_openai(base_url: str | None) -> bool:
    """Whether ``base_url`` is OpenAI itself or one of its regions; ``None`` stands for it."""
    host = urlsplit(base_url or OPENAI_URL).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def shown_address(url: str) -> str:
    """Return ``url`` as it may be printed: without its user and password, which may be a key, and its query.

    Also what is no URL at all: what stands before an @ may be meant as a password.
    """
    plain = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"([?#]).*", r"\1***", plain, flags=re.DOTALL)
