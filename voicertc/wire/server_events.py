"""What a client is told besides responses: facts as events of OpenAI Realtime, without their ``event_id``.

Our own ``voicertc.*`` events are in ``own_events``.

Whether a fact is this client's business is decided before (``realtime``).
"""

from __future__ import annotations

from collections.abc import Callable

from ..core import facts
from .responses import ServerEvent

_SERVER_CODES = ("internal", "busy", "timeout")
"""Codes of an ``error`` that is not the client's fault."""


AudioTime = Callable[[float], float]
"""From session time to seconds of the audio that the client has sent."""


def turn_started(fact: facts.TurnStarted, audio_time: AudioTime) -> ServerEvent:
    """Return ``input_audio_buffer.speech_started``."""
    return {
        "type": "input_audio_buffer.speech_started",
        "item_id": fact.item_id,
        "audio_start_ms": milliseconds(audio_time(fact.at)),
    }


def turn_stopped(fact: facts.TurnStopped, audio_time: AudioTime) -> ServerEvent:
    """Return ``input_audio_buffer.speech_stopped``."""
    return {
        "type": "input_audio_buffer.speech_stopped",
        "item_id": fact.item_id,
        "audio_end_ms": milliseconds(audio_time(fact.at)),
    }


def turn_timed_out(fact: facts.TurnTimedOut, audio_time: AudioTime) -> ServerEvent:
    """Return ``input_audio_buffer.timeout_triggered``."""
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": fact.item_id,
        "audio_start_ms": milliseconds(audio_time(fact.start)),
        "audio_end_ms": milliseconds(audio_time(fact.end)),
    }


def turn_committed(fact: facts.TurnCommitted) -> ServerEvent:
    """Return ``input_audio_buffer.committed``."""
    return {
        "type": "input_audio_buffer.committed",
        "item_id": fact.item_id,
        "previous_item_id": fact.previous_item_id,
    }


def final_heard(fact: facts.FinalHeard) -> list[ServerEvent]:
    """Return ``…transcription.delta`` with all of the text, for it may only append, then ``completed``."""
    place: ServerEvent = {"item_id": fact.item_id, "content_index": 0}
    kind = "conversation.item.input_audio_transcription"
    delta: ServerEvent = {"type": f"{kind}.delta", **place, "delta": fact.text}
    completed: ServerEvent = {
        "type": f"{kind}.completed",
        **place,
        "transcript": fact.text,
        "usage": {"type": "duration", "seconds": round(fact.seconds, 3)},
    }
    return [delta, completed] if fact.text else [completed]


def hearing_failed(fact: facts.HearingFailed) -> ServerEvent:
    """Return ``…transcription.failed``."""
    return {
        "type": "conversation.item.input_audio_transcription.failed",
        "item_id": fact.item_id,
        "content_index": 0,
        # No "param": agents-realtime 0.20 takes a string there or nothing, and drops the event for null.
        "error": {"type": "transcription_error", "code": fact.code, "message": fact.message},
    }


def item_truncated(fact: facts.ItemTruncated) -> ServerEvent:
    """Return ``conversation.item.truncated``."""
    return {
        "type": "conversation.item.truncated",
        "item_id": fact.item_id,
        "content_index": 0,
        "audio_end_ms": fact.audio_end_ms,
    }


def refused(fact: facts.Refused) -> ServerEvent:
    """Return ``error``; ``error.event_id`` names the client's event, whose sender may be waiting for it."""
    kind = "server_error" if fact.code in _SERVER_CODES else "invalid_request_error"
    return {
        "type": "error",
        "error": {
            "type": kind,
            "code": fact.code,
            "message": fact.message,
            "param": fact.param,
            "event_id": fact.origin.event_id if fact.origin else None,
        },
    }


def milliseconds(at: float) -> int:
    """Return audio time as OpenAI has it; padding may reach back before the first sample."""
    return max(0, round(at * 1000))
