/** An application of `@openai/agents-realtime` over WebRTC: what tests do with it, and what it was told. */

import {
  OpenAIRealtimeWebRTC,
  OpenAIRealtimeWebSocket,
  RealtimeAgent,
  RealtimeSession,
  tool,
} from "@openai/agents-realtime";
import { z } from "zod";

const get_age = tool({
  name: "get_age",
  description: "Tell how old a thing is.",
  parameters: z.object({ what: z.string() }),
  execute: async ({ what }) => {
    app.called.push(what);
    return `${what} is very old`;
  },
});

window.app = {
  /** What the function was called with. */
  called: [],
  /** The session's own events, by name. */
  told: [],
  faults: [],
  /** What came over a WebSocket: 16 bit, 24 kHz, mono. */
  chunks: [],

  /** Returns the call's id. */
  async connect(baseUrl, apiKey) {
    await this.open(new OpenAIRealtimeWebRTC({ baseUrl }), { apiKey });
    return this.transport.callId;
  },

  async connectSocket(url, apiKey) {
    await this.open(new OpenAIRealtimeWebSocket(), { apiKey, url });
  },

  async open(transport, options) {
    this.transport = transport;
    const agent = new RealtimeAgent({ name: "Guide", instructions: "Guide people.", tools: [get_age] });
    this.session = new RealtimeSession(agent, { transport });
    this.session.on("error", (error) => this.faults.push(JSON.stringify(error)));
    this.session.on("audio", ({ data }) => this.chunks.push(new Uint8Array(data)));
    for (const name of ["agent_start", "agent_tool_start", "agent_tool_end", "agent_end", "audio_interrupted"]) {
      this.session.on(name, () => this.told.push(name));
    }
    await this.session.connect(options);
  },

  say(text) {
    this.session.sendMessage(text);
  },

  /** What the SDK believes was said: role, status and words of each message. */
  history() {
    const messages = this.session.history.filter((item) => item.type === "message");
    const words = (part) => part.text ?? part.transcript;
    return messages.map(({ role, status, content }) => [role, status, content.map(words).join()]);
  },

  /** All that came over a WebSocket, as base64. */
  sound() {
    return btoa(this.chunks.map((chunk) => Array.from(chunk, (byte) => String.fromCharCode(byte)).join("")).join(""));
  },

  usage() {
    const { inputTokens, outputTokens } = this.session.usage;
    return [inputTokens, outputTokens];
  },
};
