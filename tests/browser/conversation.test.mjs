/** The transcript as events make it: each test is a piece of a call on the wire. */

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { Conversation } = await load("conversation.js");

/** What is seen of a conversation after some events: role, text and what is not usual. */
function after(...events) {
  const conversation = new Conversation();
  for (const event of events) conversation.apply(event);
  return conversation.entries.map(({ role, text, unheard, isFinal, isCut, isLost }) => [
    role,
    text,
    ...[unheard && `unheard:${unheard}`, !isFinal && "open", isCut && "cut", isLost && "lost"].filter(Boolean),
  ]);
}

const started = (id) => ({ type: "input_audio_buffer.speech_started", item_id: id, audio_start_ms: 0 });
const committed = (id) => ({ type: "input_audio_buffer.committed", item_id: id, previous_item_id: null });
const interim = (id, text) => ({ type: "voicertc.transcript.interim", item_id: id, text });
const heardPart = (id, delta) => ({
  type: "conversation.item.input_audio_transcription.delta", item_id: id, content_index: 0, delta,
});
const final = (id, transcript) => ({
  type: "conversation.item.input_audio_transcription.completed", item_id: id, content_index: 0, transcript,
});
const state = (state) => ({ type: "voicertc.state", state });
const spoken = (id, delta) => ({ type: "response.output_audio_transcript.delta", item_id: id, delta });
const truncated = (id) => ({ type: "conversation.item.truncated", item_id: id, content_index: 0, audio_end_ms: 9 });
const item = (what, id, role, status, content, previous) => ({
  type: `conversation.item.${what}`,
  previous_item_id: previous,
  item: { id, type: "message", role, status, content },
});
const audio = (transcript) => [{ type: "output_audio", transcript }];

test("words of the user are rewritten until they are final", () => {
  deepEqual(after(started("u"), interim("u", "what"), interim("u", "what climb")), [["user", "what climb", "open"]]);
  deepEqual(
    after(started("u"), interim("u", "what climb"), committed("u"), final("u", "what time is it")),
    [["user", "what time is it"]],
  );
});

test("an interim transcript that comes late changes nothing", () => {
  deepEqual(after(started("u"), final("u", "stop"), interim("u", "stock")), [["user", "stop"]]);
});

test("deltas of a transcript add up, and the final one counts", () => {
  deepEqual(after(committed("u"), heardPart("u", " what"), heardPart("u", " time")), [["user", "what time", "open"]]);
  deepEqual(after(committed("u"), heardPart("u", "what tie"), final("u", "what time")), [["user", "what time"]]);
});

test("the user's item does not wipe out an interim transcript", () => {
  const content = [{ type: "input_audio", transcript: null }];
  deepEqual(after(started("u"), interim("u", "what time"), item("added", "u", "user", "completed", content, null)), [
    ["user", "what time", "open"],
  ]);
});

test("words that were not recognized are shown as lost", () => {
  deepEqual(after(started("u"), final("u", "")), [["user", "", "lost"]]);
  const failed = { type: "conversation.item.input_audio_transcription.failed", item_id: "u", content_index: 0, error: {} };
  deepEqual(after(started("u"), failed), [["user", "", "lost"]]);
});

test("a cough over a reply leaves no trace", () => {
  deepEqual(after(spoken("a", "Once upon"), interim("u", "hm"), state("interrupted"), state("speaking")), [
    ["assistant", "Once upon", "open"],
  ]);
});

test("a barge-in stays, whatever the state says", () => {
  deepEqual(after(spoken("a", "Once"), interim("u", "stop"), started("u"), state("speaking")), [
    ["assistant", "Once", "open"],
    ["user", "stop", "open"],
  ]);
});

test("a reply grows as it is spoken and is whole when its item is done", () => {
  deepEqual(
    after(
      item("added", "a", "assistant", "in_progress", [], null),
      spoken("a", "It is"),
      spoken("a", " four."),
      item("done", "a", "assistant", "completed", audio("It is four."), null),
    ),
    [["assistant", "It is four."]],
  );
});

test("a reply that was cut is shortened to what was heard", () => {
  const events = [
    spoken("a", "Once upon a time there was a queen."),
    item("done", "a", "assistant", "completed", audio("Once upon a time there was a queen."), null),
    truncated("a"),
  ];
  deepEqual(after(...events), [["assistant", "Once upon a time there was a queen.", "cut"]]);
  deepEqual(after(...events, item("retrieved", "a", "assistant", "incomplete", audio("Once upon a"))), [
    ["assistant", "Once upon a", "unheard: time there was a queen.", "cut"],
  ]);
});

test("an item that is done but incomplete was cut", () => {
  deepEqual(after(spoken("a", "Once upon"), item("done", "a", "assistant", "incomplete", audio("Once"), null)), [
    ["assistant", "Once", "unheard: upon", "cut"],
  ]);
});

test("a reply cut before it was heard keeps nothing", () => {
  deepEqual(after(spoken("a", "Once"), truncated("a"), item("retrieved", "a", "assistant", "incomplete", audio(""))), [
    ["assistant", "", "unheard:Once", "cut"],
  ]);
});

test("a server that forgets the words of a cut reply leaves them to us", () => {
  deepEqual(after(spoken("a", "Once"), truncated("a"), item("retrieved", "a", "assistant", "incomplete", audio(null))), [
    ["assistant", "Once", "cut"],
  ]);
});

test("words still under way when a reply is cut are not added", () => {
  deepEqual(after(spoken("a", "Once"), truncated("a"), spoken("a", " upon")), [["assistant", "Once", "cut"]]);
});

test("entries stand where the server puts their items", () => {
  const typed = (id, text, previous) =>
    item("added", id, "user", "completed", [{ type: "input_text", text }], previous);
  deepEqual(after(typed("1", "one", null), typed("3", "three", "1"), typed("2", "two", "1"), typed("0", "zero", null)), [
    ["user", "zero"],
    ["user", "one"],
    ["user", "two"],
    ["user", "three"],
  ]);
});

test("only messages of the two are shown, and deleted ones are not", () => {
  const call = { type: "function_call", id: "f", name: "f", call_id: "c", arguments: "{}" };
  deepEqual(
    after(
      { type: "conversation.item.added", previous_item_id: null, item: call },
      item("added", "s", "system", "completed", [{ type: "input_text", text: "Be kind." }], null),
      started("u"),
      spoken("a", "Hi"),
      { type: "conversation.item.deleted", item_id: "u" },
    ),
    [["assistant", "Hi", "open"]],
  );
});

test("typed words are there before the server confirms them, once", () => {
  const conversation = new Conversation();
  conversation.addTyped("t", "help");
  equal(conversation.apply(item("added", "t", "user", "completed", [{ type: "input_text", text: "help" }], null)), true);
  deepEqual(conversation.entries.map(({ text, isFinal }) => [text, isFinal]), [["help", true]]);
});

test("events that say nothing of the conversation change nothing", () => {
  const conversation = new Conversation();
  for (const type of ["session.created", "response.created", "rate_limits.updated", "something.new"]) {
    equal(conversation.apply({ type }), false);
  }
});
