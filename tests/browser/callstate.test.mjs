/** The state of a call, from a server that says it and from one that does not. */

import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { StateTracker } = await load("callstate.js");

/** The states that a row of events (or types of events) goes through, without repetitions. */
function states(...events) {
  const tracker = new StateTracker();
  const seen = [tracker.state];
  for (const event of events) {
    tracker.apply(typeof event === "string" ? { type: event } : event);
    if (tracker.state !== seen.at(-1)) seen.push(tracker.state);
  }
  return seen;
}

const created = (turn_detection) => ({ type: "session.created", session: { audio: { input: { turn_detection } } } });
const updated = { type: "session.updated", session: {} };
const heard = (transcript) => ({ type: "conversation.item.input_audio_transcription.completed", transcript });
const stated = (state) => ({ type: "voicertc.state", state });
const FAILED = "conversation.item.input_audio_transcription.failed";

test("an ordinary turn of OpenAI Realtime goes from listening to speaking and back", () => {
  const turn = [
    created({ create_response: true }),
    updated,
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    heard("what time is it"),
    "response.created",
    "output_audio_buffer.started",
    "response.done",
    "output_audio_buffer.stopped",
  ];
  deepEqual(states(...turn), ["initializing", "listening", "processing", "thinking", "speaking", "listening"]);
});

test("a turn that nothing will come of is over with its transcript", () => {
  const toAndFro = ["initializing", "listening", "processing", "listening"];
  const turn = (detection, end) =>
    states(created(detection), "input_audio_buffer.cleared", "input_audio_buffer.committed", end);
  deepEqual(turn({}, heard("")), toAndFro);
  deepEqual(turn({}, FAILED), toAndFro);
  deepEqual(turn({ create_response: false }, heard("hello")), toAndFro);
  deepEqual(turn(null, heard("hello")), toAndFro);
});

test("a reply that was cleared is no longer speaking", () => {
  deepEqual(states("response.created", "output_audio_buffer.started", "response.done", "output_audio_buffer.cleared"), [
    "initializing",
    "thinking",
    "speaking",
    "listening",
  ]);
});

test("the server's own word counts once it is given", () => {
  deepEqual(states(created({}), stated("interrupted"), stated("listening"), "output_audio_buffer.started"), [
    "initializing",
    "interrupted",
    "listening",
  ]);
});
