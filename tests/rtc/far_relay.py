"""Asks a TURN server for relays from another network namespace.

``python -m tests.rtc.far_relay HOST USERNAME:PASSWORD…`` prints a line for each: ``opened``, or the code of
the error. The password is what stands behind the last colon.
"""

from __future__ import annotations

import asyncio
import sys

from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint


async def ask(host: str, username: str, password: str) -> str:
    try:
        transport, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol, (host, 3478), username=username, password=password
        )
    except TransactionFailed as error:
        return str(error.response.error_code)
    transport.close()
    return "opened"


async def main(host: str, credentials: list[str]) -> None:
    for credential in credentials:
        username, _, password = credential.rpartition(":")
        print(await ask(host, username, password), flush=True)  # noqa: T201 (for whoever started it)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
