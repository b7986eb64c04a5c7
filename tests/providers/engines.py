"""Engines that behave badly on purpose, to be loaded into real workers. Standard library only."""

import os
import sys
import time

from voicertc.providers.worker_engine import EngineUnavailable, RequestRefused


class Obedient:
    """Does what the first message says."""

    FACTS = {"version": "1", "rate_hz": 22_050, "voices": [["en-us", "English (America)"]]}  # noqa: RUF012

    def __init__(self, options):
        self.options = options
        if "unavailable" in options:
            raise EngineUnavailable("there is no engine", fix="install one")
        if "crash" in options:
            raise RuntimeError("cannot load")
        if "hang" in options:
            time.sleep(3600)

    def facts(self):
        return {**self.FACTS, "options": dict(self.options), "pid": os.getpid()}

    def serve(self, request):
        getattr(self, request.first.kind)(request)

    def echo(self, request):
        request.send("echo", request.first.body, last=True, **request.first.fields)

    def environment(self, request):
        request.send("environment", last=True, names=sorted(os.environ), modules=sorted(sys.modules))

    def count(self, request):
        """Say each number when it is asked for, until ``end``."""
        n = 0
        while request.receive().kind != "end":
            n += 1
            request.send("counted", n=n)
        request.send("done", last=True, n=n)

    def flood(self, request):
        """Send ``n`` bodies without being asked again."""
        for n in range(request.first.fields["n"]):
            request.send("water", b"w" * request.first.fields["size"], n=n)
        request.send("done", last=True)

    def work(self, request):
        """Go on until cancelled, asking as an engine in the middle of a computation does."""
        request.send("working")
        while not request.is_cancelled:
            time.sleep(0.001)

    def hang(self, request):
        """Be deaf, but say so first."""
        request.send("hanging")
        time.sleep(3600)

    def crash(self, request):
        os.write(2, b"the last words\n")
        os._exit(3)

    def fail(self, request):
        raise ValueError("a bug in the engine")

    def refuse(self, request):
        raise RequestRefused("that is not possible")

    def chatter(self, request):
        """Write to standard output and error, as native libraries do."""
        os.write(1, b"not a message\n" * 100)
        os.write(2, b"noise\n" * 100)
        os.read(0, 100)
        request.send("done", last=True)

    def garbage(self, request):
        os.write(request._pipe._write_fd, b"\xff" * 64)
        time.sleep(3600)

    def spill(self, request):
        """Break the rule that the last message is the last."""
        request.send("done", last=True)
        request.send("done", last=True)
        request.send("late")


class StalledVoice(Obedient):
    def serve(self, request):
        time.sleep(3600)


class BrokenVoice(Obedient):
    def serve(self, request):
        request.send("chunk", b"\x00\x40" * 2205, marks=[[0, 0]])
        os._exit(3)


class StalledRecognizer(Obedient):
    def serve(self, request):
        while request.receive().kind != "end":
            pass
        time.sleep(3600)


class BrokenRecognizer(Obedient):
    def serve(self, request):
        request.receive()
        os._exit(3)
