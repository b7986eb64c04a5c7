"""One piece of work that is streamed, by the first member of a chain that gives something of use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from .chain import Attempt, Chain
from .member import Member, P

_T = TypeVar("_T")


async def with_plan_b(
    chain: Chain[P],
    ask: Callable[[Member[P]], AsyncGenerator[_T, None]],
    is_useful: Callable[[_T], bool],
    first_timeout: float,
) -> AsyncGenerator[_T, None]:
    """Yield what the first member gives of which something useful comes.

    ``first_timeout``: seconds until then, for a member that has another behind it. What a member gave before
    is forgotten when the next one is asked. A failure after the first useful piece is raised as it is: what
    was said cannot be taken back. Raises the first failure if all fail.
    """
    attempts = chain.attempts()
    while (attempt := attempts.next()) is not None:
        try:
            async with attempt, aclosing(ask(attempt.member)) as pieces:
                for piece in await _opening(attempt, pieces, is_useful, first_timeout):
                    yield piece
                async for piece in pieces:
                    yield piece
            return
        except Exception:  # also what a third party's adapter should not raise; the attempt has logged it
            if attempt.has_begun:
                raise
    raise attempts.error


async def _opening(
    attempt: Attempt[P], pieces: AsyncIterator[_T], is_useful: Callable[[_T], bool], first_timeout: float
) -> list[_T]:
    """Return the pieces up to the first useful one, or all if none is, as when nothing is to be said."""
    opening: list[_T] = []
    try:
        async with asyncio.timeout(first_timeout if attempt.has_next else None) as scope:
            with attempt.unless_silent(scope):
                async for piece in pieces:
                    opening.append(piece)
                    if is_useful(piece):
                        attempt.has_begun = True
                        break
    except TimeoutError:
        if not scope.expired():
            raise
        raise attempt.timeout(f"gave nothing within {first_timeout:g} s") from None
    return opening
