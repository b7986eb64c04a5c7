"""What OpenAI Realtime has no event for: facts as ``voicertc.*`` events, without their ``event_id``.

Clients are told only of those that they have asked for; ``docs/events.md`` shows each.
"""

from __future__ import annotations

from dataclasses import asdict, fields

from ..core import facts
from .responses import ServerEvent
from .server_events import AudioTime, milliseconds


def state(fact: facts.StateChanged) -> ServerEvent:
    """Return ``voicertc.state``."""
    return {"type": "voicertc.state", "state": fact.state.value}


def interim(fact: facts.InterimHeard) -> ServerEvent:
    """Return ``voicertc.transcript.interim``: the next one may rewrite it."""
    return {"type": "voicertc.transcript.interim", "item_id": fact.item_id, "text": fact.text}


def transcript(fact: facts.FinalHeard, audio_time: AudioTime) -> ServerEvent:
    """Return ``voicertc.transcript``: what OpenAI's event leaves out of a turn's words."""
    return {
        "type": "voicertc.transcript",
        "item_id": fact.item_id,
        "transcript": fact.text,
        "confidence": fact.confidence,
        "language": fact.language,
        "start_ms": milliseconds(audio_time(fact.start)),
        "end_ms": milliseconds(audio_time(fact.end)),
        "words": [
            {
                "word": word.text,
                "start_ms": milliseconds(audio_time(word.start)),
                "end_ms": milliseconds(audio_time(word.end)),
                "confidence": word.confidence,
            }
            for word in fact.words
        ],
    }


def metrics(fact: facts.TurnMeasured) -> ServerEvent:
    """Return ``voicertc.metrics``: the waterfall of an answered turn; its stages add up to ``total_ms``."""
    others = ("item_id", "reply_id", "is_bridged")
    names = [field.name for field in fields(fact) if field.name not in others]
    seconds = [getattr(fact, name) for name in names]
    return {
        "type": "voicertc.metrics",
        "item_id": fact.item_id,
        "response_id": fact.reply_id,
        "stages": {f"{name}_ms": round(at * 1000, 1) for name, at in zip(names, seconds, strict=True)},
        "total_ms": round(sum(seconds) * 1000, 1),
        "is_bridged": fact.is_bridged,
    }


def handoff(fact: facts.HandedOff) -> ServerEvent:
    """Return ``voicertc.handoff``."""
    return {"type": "voicertc.handoff", "agent": fact.agent}


def tool(fact: facts.ToolProgressed) -> ServerEvent:
    """Return ``voicertc.tool``."""
    return {"type": "voicertc.tool", "name": fact.name, "phase": fact.phase, "message": fact.message}


def link(fact: facts.LinkMeasured) -> ServerEvent:
    """Return ``voicertc.link``: ``inbound`` is what comes from the client, ``outbound`` what we send."""
    return {
        "type": "voicertc.link",
        "inbound": asdict(fact.inbound),
        "outbound": asdict(fact.outbound),
        "round_trip_ms": fact.round_trip_ms,
    }


def usage(fact: facts.UsageAdded) -> ServerEvent:
    """Return ``voicertc.usage``: what the session has used so far."""
    return {
        "type": "voicertc.usage",
        "heard_seconds": fact.heard_seconds,
        "spoken_seconds": fact.spoken_seconds,
        "spoken_characters": fact.spoken_characters,
        "input_tokens": fact.tokens.input_tokens,
        "output_tokens": fact.tokens.output_tokens,
        "cached_tokens": fact.tokens.cached_tokens,
        "services": [_service(service) for service in fact.services],
    }


def _service(service: facts.ServiceUsage) -> ServerEvent:
    tokens = service.tokens
    return {
        "stage": service.stage,
        "provider": service.provider,
        "model": service.model,
        "seconds": service.seconds,
        "characters": service.characters,
        "input_tokens": tokens.input_tokens,
        "output_tokens": tokens.output_tokens,
        "cached_tokens": tokens.cached_tokens,
        "input_audio_tokens": tokens.input_audio_tokens,
        "output_audio_tokens": tokens.output_audio_tokens,
    }


def call_ending(fact: facts.CallEnding) -> ServerEvent:
    """Return ``voicertc.call.ending``."""
    return {"type": "voicertc.call.ending", "reason": fact.reason}
