/** `@openai/agents-realtime` over WebSocket in Node, against the server that `SERVER` names. */

import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";
import { Microphone, numbersIn, said } from "./sound.mjs";

const { SERVER } = process.env;
const STORY_WORDS = 40;

/** A session, what was told, and what was heard; `error` events of any kind are kept. */
class Call {
  events = [];
  errors = [];
  told = [];
  chunks = [];

  /** Connect; closed at the end of the test `t`. */
  static async open(t, agent) {
    const call = new Call();
    t.after(() => call.session.close());
    call.session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket() });
    const { session } = call;
    session.on("error", ({ error }) => call.errors.push(error));
    session.on("transport_event", (event) => call.events.push({ at: performance.now(), event }));
    session.on("audio", ({ data }) => call.chunks.push(Buffer.from(data)));
    session.on("audio_interrupted", () => call.told.push("audio_interrupted"));
    session.on("agent_handoff", (_, from, to) => call.told.push(`${from.name} -> ${to.name}`));
    session.on("agent_tool_end", (_, __, { name }, result) => call.told.push(`${name}: ${result}`));
    await session.connect({ apiKey: "sk-anything", url: `ws://${SERVER}/v1/realtime?model=gpt-realtime` });
    return call;
  }

  /** The events so far of a type, oldest first. */
  of(type) {
    return this.events.filter(({ event }) => event.type === type);
  }

  /** Wait for a condition to hold. */
  async eventually(condition) {
    const deadline = performance.now() + 15_000;
    while (!condition()) {
      ok(performance.now() < deadline, `${condition} in vain: ${this.events.map(({ event }) => event.type)}`);
      await pause(10);
    }
  }

  /** Wait for the server to have sent `count` events of a type; return the last of them. */
  async until(type, count = 1) {
    await this.eventually(() => this.of(type).length >= count);
    return this.of(type)[count - 1];
  }

  /** What the agent was asked, oldest first. */
  async asked() {
    const { id } = (await this.until("session.created")).event.session;
    return (await fetch(`http://${SERVER}/conformance/asked?session=${id}`)).json();
  }

  /** What the SDK believes was said: role, status and words of each message. */
  get history() {
    const messages = this.session.history.filter(({ type }) => type === "message");
    const words = (part) => part.text ?? part.transcript;
    return messages.map(({ role, status, content }) => [role, status, content.map(words).join()]);
  }
}

const get_age = tool({
  name: "get_age",
  description: "Tell how old a thing is.",
  parameters: z.object({ what: z.string() }),
  execute: async ({ what }) => `${what} is very old`,
});

test("functions are called, their answer is spoken, and usage is counted", async (t) => {
  const guide = new RealtimeAgent({ name: "Guide", instructions: "Guide people.", tools: [get_age] });
  const call = await Call.open(t, guide);
  call.session.sendMessage("how old are both?");
  // The SDK may ask for an answer when it has one of the two, and again when it has the other.
  const both = "The answer is the Brooklyn Bridge is very old and the Eiffel Tower is very old.";
  await call.eventually(() => call.history.at(-1)?.[2] === both && call.history.at(-1)[1] === "completed");
  deepEqual(call.told, [
    "get_age: the Brooklyn Bridge is very old",
    "get_age: the Eiffel Tower is very old",
  ]);
  deepEqual(call.history[0], ["user", "completed", "how old are both?"]);
  deepEqual(numbersIn(call.chunks).slice(-15), Array(15).fill(0));
  const n = call.of("response.done").length;
  const { inputTokens, outputTokens, totalTokens } = call.session.usage;
  deepEqual([inputTokens, outputTokens, totalTokens], [7 * n, 5 * n, 12 * n]);
  const asked = await call.asked();
  deepEqual(asked[0].tools.map(([name]) => name), ["get_age"]);
  equal(asked[0].instructions, "Guide people.");
  deepEqual([...call.errors, ...call.of("error")], []);
});

test("a handoff is another agent's instructions and tools", async (t) => {
  const billing = new RealtimeAgent({ name: "Billing", instructions: "Send bills.", tools: [get_age] });
  const guide = new RealtimeAgent({ name: "Guide", instructions: "Guide people.", handoffs: [billing] });
  const call = await Call.open(t, guide);
  call.session.sendMessage("please transfer me");
  await call.until("response.done", 2);
  deepEqual(call.told, ["Guide -> Billing"]);
  const [first, second] = await call.asked();
  deepEqual(first.tools.map(([name]) => name), ["transfer_to_Billing"]);
  deepEqual(second.tools.map(([name]) => name), ["get_age"]);
  ok(second.instructions.includes("Send bills."), second.instructions);
  deepEqual([...call.errors, ...call.of("error")], []);
});

test("a spoken barge-in stops the reply and cuts it to what was played", async (t) => {
  const call = await Call.open(t, new RealtimeAgent({ name: "Guide", instructions: "Guide people." }));
  const microphone = new Microphone((piece) => call.session.sendAudio(piece));
  microphone.say(await said("we must find a new home in the stars"));
  const first = await call.until("response.output_audio.delta");
  await pause(2500);
  microphone.say(await said("go forward ten meters"));
  const started = await call.until("input_audio_buffer.speech_started", 2);
  const truncated = (await call.until("conversation.item.truncated")).event;
  await call.until("response.done", 2);
  await call.until("conversation.item.retrieved", 3);
  microphone.close();

  deepEqual(call.told, ["audio_interrupted"]);
  const played = started.at - first.at;
  ok(Math.abs(truncated.audio_end_ms - played) < 100, `${truncated.audio_end_ms} ms for ${played} ms`);
  const story = (await call.asked()).at(-1).history.find(({ role }) => role === "assistant");
  const heard = story.text.split(" ").length;
  equal(truncated.item_id, story.id);
  ok(Math.abs(heard - truncated.audio_end_ms / 300) <= 1.5, `${heard} words of ${truncated.audio_end_ms} ms`);
  ok(story.text.startsWith("one, two, three, ") && heard < STORY_WORDS, story.text);
  deepEqual(call.history.map(([role]) => role), ["user", "assistant", "user", "assistant"]);
  equal(call.history[0][2], "we must find a new home in the stars");
  equal(call.history[1][2], story.text);
  equal(call.history[3][2], "You said: go forward ten meters.");
  deepEqual([...call.errors, ...call.of("error")], []);
});

test("a spoken barge-in cancels a reply that is still being made, once", async (t) => {
  const call = await Call.open(t, new RealtimeAgent({ name: "Guide", instructions: "Guide people." }));
  const microphone = new Microphone((piece) => call.session.sendAudio(piece));
  call.session.sendMessage("count slowly");
  await call.until("response.output_audio.delta");
  microphone.say(await said("go forward ten meters"));
  const { response } = (await call.until("response.done")).event;
  deepEqual([response.status, response.status_details.reason], ["cancelled", "turn_detected"]);
  await call.until("response.done", 2);
  microphone.close();
  deepEqual(call.told, ["audio_interrupted"]);
  equal(call.history.at(-1)[2], "You said: go forward ten meters.");
  // Had it not read that the server interrupts by itself, it would have cancelled what is cancelled already.
  deepEqual([...call.errors, ...call.of("error")], []);
});

test("a reply that is still being made is stopped by interrupt()", async (t) => {
  const call = await Call.open(t, new RealtimeAgent({ name: "Guide", instructions: "Guide people." }));
  call.session.sendMessage("count slowly");
  await call.until("response.output_audio.delta");
  await pause(1500);
  call.session.interrupt();
  const { response } = (await call.until("response.done")).event;
  deepEqual([response.status, response.status_details.reason], ["cancelled", "client_cancelled"]);
  await call.until("conversation.item.truncated");
  deepEqual(call.told, ["audio_interrupted"]);
  call.session.sendMessage("hello");
  await call.until("response.done", 2);
  const words = numbersIn(call.chunks);
  ok(words.filter((number) => number > 0).length < STORY_WORDS, `${words}`);
  deepEqual([...call.errors, ...call.of("error")], []);
});
