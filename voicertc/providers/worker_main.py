"""What runs in a worker process: load one engine, then serve one request after another.

    python -m voicertc.providers.worker_main voicertc.providers.espeak_engine:Espeak

    server                      worker
    load {options}         ->   makes the engine
                           <-   ready {facts}        or  unavailable {message, fix}, and it exits
    <first message, id>    ->   engine.serve(request)
    <more messages, id>    ->   request.receive()
                           <-   request.send(...)     any number; the last one has ``last: true``
    cancel {id}            ->   request.receive() raises Cancelled
                           <-   cancelled {id}

A worker lives as long as its standard input: it ignores the signals of a terminal or of a service manager
that go to the whole group, because the server still needs it to finish the calls it has, and it dies with the
server even if the engine hangs. It imports the engine and the standard library only.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from .worker_engine import Cancelled, Engine, EngineUnavailable, Request, RequestRefused
from .worker_messages import CANCEL, Message, Pipe

NICENESS = 5
"""Speech engines give way to the server's media clock: a late word is cheaper than a late packet."""
_PR_SET_PDEATHSIG = 1


def serve(engine: Engine, pipe: Pipe) -> None:
    """Serve requests until the pipe is closed."""
    served = 0
    while (message := pipe.receive()) is not None:
        if message.kind == CANCEL:
            pipe.send(Message("cancelled", message.request))
        elif message.request > served:
            served = message.request
            _serve_one(engine, Request(message, pipe))
        # Else it belongs to a request that was refused while its audio was on the way.


def _serve_one(engine: Engine, request: Request) -> None:
    try:
        engine.serve(request)
    except Cancelled:
        pass  # the cancellation is still in the pipe, and answered from ``serve``
    except RequestRefused as error:
        request.send("refused", message=str(error), last=True)


def load(path: str, options: Mapping[str, Any]) -> Engine:
    """Import ``module:name`` and make the engine. Raises ``EngineUnavailable``."""
    module, _, name = path.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(options)
    return engine


def run(path: str, pipe: Pipe) -> int:
    """Load the engine that the first message describes, and serve it; returns the exit status."""
    first = pipe.receive()
    if first is None:
        return 0
    try:
        engine = load(path, first.fields)
    except EngineUnavailable as error:
        pipe.send(Message("unavailable", 0, {"message": str(error), "fix": error.fix}))
        return 1
    pipe.send(Message("ready", 0, engine.facts()))
    serve(engine, pipe)
    return 0


def main(arguments: list[str]) -> int:
    """Be a worker. ``arguments``: the engine's ``module:name`` and the server's process id."""
    path, parent = arguments
    _outlive_signals()
    if not _die_with(int(parent)):
        return 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what somebody said
    os.nice(NICENESS)
    try:
        return run(path, _private_pipe())
    except BrokenPipeError:
        return 0  # the server has gone, or has had enough of us
    except Exception:
        # The outermost frame: the server sees the end of the pipe, and logs the last line of this.
        traceback.print_exc()
        return 1


def _outlive_signals() -> None:
    faulthandler.enable()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _die_with(parent: int) -> bool:
    """Ask Linux for SIGKILL when the server dies; False if it is already dead."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def _private_pipe() -> Pipe:
    """Take standard input and output for ourselves: a library that prints must not break the messages."""
    pipe = Pipe(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return pipe


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
