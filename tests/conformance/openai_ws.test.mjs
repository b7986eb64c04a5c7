/** npm `openai`: its WebSocket speaks TLS only, so this is the server's own certificate, too. */

import { deepEqual, equal } from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { numbersIn } from "./sound.mjs";

const sdk = new OpenAI({ baseURL: `https://${process.env.SECURE}/v1`, apiKey: "sk-anything", maxRetries: 0 });

/** The next event of a type. */
const next = (socket, type) => new Promise((resolve) => socket.once(type, resolve));

async function opened(client) {
  const socket = new OpenAIRealtimeWS({ model: "gpt-realtime" }, client);
  const errors = [];
  socket.on("error", (error) => errors.push(error));
  const created = await next(socket, "session.created");
  return { socket, errors, created };
}

test("something written is answered aloud over wss", async () => {
  const { socket, errors } = await opened(sdk);
  const sound = [];
  socket.on("response.output_audio.delta", ({ delta }) => sound.push(Buffer.from(delta, "base64")));
  const content = [{ type: "input_text", text: "count" }];
  socket.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  socket.send({ type: "response.create" });
  const { response } = await next(socket, "response.done");
  equal(response.status, "completed");
  deepEqual(numbersIn(sound), Array.from({ length: 40 }, (_, index) => index + 1));
  deepEqual(errors, []);
  socket.close();
  await once(socket.socket, "close");
});

test("a key for browsers opens the session that it is bound to", async () => {
  const session = { type: "realtime", instructions: "Be brief." };
  const { value } = await sdk.realtime.clientSecrets.create({ session });
  const { socket, created } = await opened(new OpenAI({ baseURL: sdk.baseURL, apiKey: value }));
  equal(created.session.instructions, "Be brief.");
  socket.close();
});

test("what goes wrong arrives as an error with the event's id", async () => {
  const { socket, errors } = await opened(sdk);
  socket.send({ type: "response.cancel", event_id: "event_mine" });
  while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  equal(errors[0].error.event_id, "event_mine");
  socket.close();
});
