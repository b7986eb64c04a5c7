"""In what servers of Chat Completions differ, as far as it can be known before asking.

What a server turns out not to know is learnt from its refusals (``openai_fields``), and what its answers lack
is borne without being told: ids and indices of calls, token counts, ``[DONE]``; thoughts are always cut out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from .openai_access import OpenAIOptions
from .openai_fields import least_effort

_OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """One kind of server. The defaults are what nearly every compatible server understands."""

    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the limit of an answer is called; OpenAI's newer models refuse the old name, others do not know
    the new one."""
    counts_if_asked: bool = True
    """Whether tokens are counted for ``stream_options.include_usage``; most count for nothing else."""
    loads_on_demand: bool = False
    """Whether the first request waits until the model has been read from the disk, many seconds: one is sent
    at the start, in the background."""


OPENAI = ChatDialect(limit_field="max_completion_tokens")
COMPATIBLE = ChatDialect()
"""vLLM, llama.cpp and most others: their model is there before they answer at all."""
OLLAMA = ChatDialect(loads_on_demand=True)


def likely_dialect(options: OpenAIOptions, model: str) -> ChatDialect:
    """Guess a server's dialect. A model of OpenAI's behind somebody else's address is a gateway to it."""
    if options.is_openai or least_effort(model) is not None:
        return OPENAI
    return OLLAMA if urlsplit(options.base_url).port == _OLLAMA_PORT else COMPATIBLE
