/** An application of `@pipecat-ai/client-js` over its small WebRTC transport, and what it was told. */

import { PipecatClient, RTVIEvent } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager } from "@pipecat-ai/small-webrtc-transport";

window.app = {
  /** All events of the client, by name and value, with the time of each in seconds. */
  told: [],
  /** What the function was called with. */
  called: [],

  create() {
    // The default media manager downloads code when it starts.
    this.transport = new SmallWebRTCTransport({ mediaManager: new WavMediaManager() });
    this.client = new PipecatClient({ transport: this.transport, enableMic: true, enableCam: false });
    for (const name of Object.values(RTVIEvent)) {
      if (name === RTVIEvent.BotTranscript) continue; // deprecated: the client warns of it
      this.client.on(name, (value) => this.told.push([name, plain(value), performance.now() / 1000]));
    }
    this.client.on(RTVIEvent.TrackStarted, (track, participant) => {
      if (!participant?.local && track.kind === "audio") play(track);
    });
    this.client.registerFunctionCallHandler("get_age", async ({ arguments: { what } }) => {
      this.called.push(what);
      return `${what} is very old`;
    });
  },

  /** Returns what the bot says of itself. */
  connect(endpoint) {
    this.create();
    return this.client.connect({ webrtcRequestParams: { endpoint } });
  },

  /** The same, for servers that tell where to connect. */
  start(endpoint) {
    this.create();
    return this.client.startBotAndConnect({ endpoint, requestData: { transport: "webrtc" } });
  },

  /**
   * Play what a connection made anew brings. The client (1.10.8) does not tell of its track: the end of the old
   * one, of the same name, makes it forget the new one.
   */
  playAgain() {
    play(this.transport.pc.getReceivers()[0].track);
  },

  /** Ask for something by a message of the application's own, here an event of OpenAI's protocol. */
  async ask(type, fields) {
    try {
      return await this.client.sendClientRequest(type, fields);
    } catch (error) {
      return { refused: plain(error) };
    }
  },

  /** The values of all events of a name. */
  named(name) {
    return this.told.filter(([event]) => event === name).map(([, value]) => value);
  },
};

/** A track needs an element before any of it is decoded. */
function play(track) {
  const audio = document.body.appendChild(new Audio());
  audio.srcObject = new MediaStream([track]);
  audio.play();
}

function plain(value) {
  try {
    return JSON.parse(JSON.stringify(value ?? null));
  } catch {
    return String(value);
  }
}
