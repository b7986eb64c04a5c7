/**
 * A call to a voice agent, for any page; it depends on nothing.
 *
 *     import { VoicertcCall } from "/static/voicertc.js";
 *
 *     const call = new VoicertcCall({ url: "/v1/realtime/calls" });
 *     call.addEventListener("state", () => console.log(call.state));
 *     call.addEventListener("conversation", () => console.log(call.conversation.entries));
 *     await call.start();          // from a click: the browser asks for the microphone
 *
 * It speaks OpenAI's Realtime protocol over WebRTC: the offer goes to `POST …/realtime/calls`, events travel on the
 * data channel `oai-events`. What only a voicertc server has (interim transcripts, its state, why it ends a call) it
 * subscribes to, and does without elsewhere.
 *
 * Events of a call, each a `CustomEvent`:
 *
 *     state             `call.state` changed
 *     conversation      `call.conversation.entries` changed
 *     microphone        detail {stream}: it was opened, or exchanged after it was unplugged
 *     microphonelost    detail {error}: it was unplugged and there is no other; the call goes on
 *     voice             detail {stream}: the agent's voice
 *     playbackblocked   the browser wants a click before it plays sound: call `hear()` from one
 *     playbackstarted   the agent's voice is played
 *     event             detail {event}: any event of the server, for what is not covered here
 *     problem           detail {error}: an `error` event of the server; the call goes on
 *     ended             detail {reason}: "hangup" (ours), "lost", "closed", or the server's word for it
 */

import { StateTracker } from "./callstate.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { CallError } from "./errors.js";
import { openMicrophone } from "./microphone.js";
import { fetchIceServers } from "./signalling.js";

export { CallError, Conversation };

const GOODBYE_TIMEOUT_MS = 3_000;

/**
 * @typedef {object} CallOptions
 * @property {string} [url] where offers go, relative to the page
 * @property {boolean | MediaTrackConstraints} [microphone] `false`: only listen and type
 * @property {HTMLAudioElement} [audio] what plays the agent's voice
 * @property {string | null} [key] an API key of the server, or better a short-lived one made with it (`ek_…`)
 * @property {Record<string, string>} [headers] more for the server
 * @property {RTCIceServer[]} [iceServers] STUN and TURN servers; without them, those that the server tells
 * @property {object} [session] OpenAI Realtime session configuration, sent when the call is up
 *
 * @typedef {import("./callstate.js").CallState} CallState
 * @typedef {import("./conversation.js").ServerEvent} ServerEvent
 */

/** One call, made once: `start()` it, `end()` it, and make another for the next. */
export class VoicertcCall extends EventTarget {
  #options;
  #audio;
  /** @type {CallState | "up"} how the connection stands; `up` leaves the word to the tracker */
  #phase = "idle";
  /** @type {CallState} the state last told */
  #told = "idle";
  #tracker = new StateTracker();
  /** @type {Connection | null} */
  #connection = null;
  /** @type {MediaStream | null} */
  #microphone = null;
  #isMuted = false;
  #isReplyWanted = false;
  #reason = "closed";

  /** What has been said. */
  conversation = new Conversation();

  /** @param {CallOptions} [options] */
  constructor({ url = "v1/realtime/calls", microphone = true, audio, key, headers, iceServers, session } = {}) {
    super();
    /** @type {Record<string, string>} */
    const authorization = key ? { Authorization: `Bearer ${key}` } : {};
    this.#options = { url, microphone, headers: { ...authorization, ...headers }, iceServers, session };
    this.#audio = audio ?? new Audio();
  }

  /** @returns {CallState} */
  get state() {
    return this.#phase === "up" ? this.#tracker.state : this.#phase;
  }

  get isMuted() {
    return this.#isMuted;
  }

  get hasMicrophone() {
    return this.#microphone !== null;
  }

  /** Whether the browser is asking its user for the microphone. */
  get isAsking() {
    return this.#phase === "connecting" && Boolean(this.#options.microphone) && !this.hasMicrophone;
  }

  /** Whether typed words and other events can be sent. */
  get isOpen() {
    return this.#connection?.isOpen ?? false;
  }

  /**
   * Make the call. Resolves when media flows.
   *
   * @throws {CallError}
   */
  async start() {
    if (this.#phase !== "idle") throw new TypeError("A VoicertcCall is started once.");
    this.#enter("connecting");
    try {
      if (!globalThis.RTCPeerConnection) throw new CallError("unsupported", "This browser has no WebRTC.");
      const { url, headers, microphone } = this.#options;
      const [iceServers] = await Promise.all([
        this.#options.iceServers ?? fetchIceServers(url, headers),
        microphone && this.#openMicrophone(),
      ]);
      this.#checkIsWanted();
      this.#connection = this.#listenTo(new Connection({ url, headers, iceServers }));
      addEventListener("pagehide", this.#onPageHide);
      await this.#connection.open(this.#microphone);
      this.#enter("up");
    } catch (error) {
      this.#release();
      this.#enter("disconnected");
      throw error;
    }
  }

  /** Hang up. */
  end() {
    this.#finish("hangup");
  }

  /**
   * Send silence instead of the microphone, or the microphone again.
   *
   * @param {boolean} isMuted
   */
  mute(isMuted) {
    this.#isMuted = isMuted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !isMuted;
  }

  /**
   * Say something in writing; it takes the floor as speech would.
   *
   * @param {string} text
   */
  say(text) {
    const id = `item_${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
    this.interrupt();
    this.send({
      type: "conversation.item.create",
      item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
    this.conversation.addTyped(id, text);
    this.#tell("conversation");
    // A second response is refused while one is being generated: the cancelled one must be done first.
    this.#isReplyWanted = this.#tracker.isReplying;
    if (!this.#isReplyWanted) this.send({ type: "response.create" });
  }

  /** Silence the agent. */
  interrupt() {
    // Either may come too late, which is no problem.
    if (this.#tracker.isReplying) this.#try({ type: "response.cancel" });
    if (this.#tracker.isAudible) this.#try({ type: "output_audio_buffer.clear" });
  }

  /**
   * Send a client event of OpenAI Realtime. While the call is not open it is dropped.
   *
   * @param {{ type: string, [field: string]: unknown }} event
   */
  send(event) {
    this.#connection?.send(JSON.stringify(event));
  }

  /** Play the agent's voice; after `playbackblocked`, call it from a click. */
  async hear() {
    try {
      await this.#audio.play();
      this.#tell("playbackstarted");
    } catch (error) {
      // AbortError: the call was over before it could be heard.
      if (/** @type {DOMException} */ (error).name === "NotAllowedError") this.#tell("playbackblocked");
    }
  }

  // --- sound ------------------------------------------------------------------------------------

  async #openMicrophone() {
    const { microphone } = this.#options;
    const stream = await openMicrophone(typeof microphone === "object" ? microphone : {});
    this.#microphone = stream;
    this.#checkIsWanted();
    this.mute(this.#isMuted);
    const [track] = stream.getAudioTracks();
    track.addEventListener("ended", () => this.#exchangeMicrophone());
    this.#tell("microphone", { stream });
    return track;
  }

  /** @throws {CallError} when the call was ended while something was waited for */
  #checkIsWanted() {
    if (this.#phase === "disconnected") throw new CallError("ended", "The call was ended before it was up.");
  }

  /** The microphone was unplugged: go on with the one that the browser now prefers. */
  async #exchangeMicrophone() {
    try {
      await this.#connection?.exchange(await this.#openMicrophone());
    } catch (error) {
      if (this.#phase === "disconnected") return this.#release();
      this.#microphone = null;
      this.#tell("microphonelost", { error });
    }
  }

  /** @param {MediaStream} stream */
  #play(stream) {
    this.#audio.srcObject = stream;
    this.#tell("voice", { stream });
    this.hear();
  }

  // --- the connection ---------------------------------------------------------------------------

  /** @param {Connection} connection */
  #listenTo(connection) {
    /** @type {Record<string, (detail: any) => void>} */
    const reactions = {
      voice: ({ stream }) => this.#play(stream),
      open: () => this.#configure(),
      message: ({ text }) => this.#receive(JSON.parse(text)),
      away: () => this.#enter("reconnecting"),
      back: () => this.#enter("up"),
      lost: () => this.#finish("lost"),
      closed: () => this.#finish(this.#reason),
    };
    for (const [type, react] of Object.entries(reactions)) {
      connection.addEventListener(type, (event) => react(/** @type {CustomEvent} */ (event).detail));
    }
    return connection;
  }

  #onPageHide = () => this.end();

  /** @param {string} reason */
  #finish(reason) {
    if (this.#phase === "idle" || this.#phase === "disconnected") return;
    const wasUp = this.#phase !== "connecting"; // else it is `start()` that says it, by rejecting
    this.#connection?.hangUp();
    this.#release();
    this.#enter("disconnected");
    if (wasUp) this.#tell("ended", { reason });
  }

  #release() {
    removeEventListener("pagehide", this.#onPageHide);
    this.#connection?.close();
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#microphone = null;
    this.#audio.srcObject = null;
  }

  // --- events of the wire -----------------------------------------------------------------------

  #configure() {
    // On its own, because a server that does not know the key refuses the whole update.
    this.#try({ type: "session.update", session: { type: "realtime", voicertc: { events: ["*"] } } });
    const { session } = this.#options;
    if (session) this.send({ type: "session.update", session: { type: "realtime", ...session } });
  }

  /** @param {ServerEvent} event */
  #receive(event) {
    this.#tracker.apply(event);
    if (this.conversation.apply(event)) this.#tell("conversation");
    this.#react(event);
    this.#announce();
    this.#tell("event", { event });
  }

  /** @param {ServerEvent} event */
  #react(event) {
    switch (event.type) {
      case "conversation.item.truncated":
        // The event says how long the heard part is; the item says which words those are.
        this.#try({ type: "conversation.item.retrieve", item_id: event.item_id });
        break;
      case "response.done":
        if (this.#isReplyWanted) this.send({ type: "response.create" });
        this.#isReplyWanted = false;
        break;
      case "voicertc.call.ending":
        this.#reason = event.reason;
        this.#enter("ending");
        setTimeout(() => this.#finish(event.reason), GOODBYE_TIMEOUT_MS);
        break;
      case "error":
        if (!event.error.event_id?.startsWith("try_")) this.#tell("problem", { error: event.error });
    }
  }

  /**
   * Ask for something that not every server grants: an `error` that names this event is no problem.
   *
   * @param {{ type: string, [field: string]: unknown }} event
   */
  #try(event) {
    this.send({ event_id: `try_${event.type}`, ...event });
  }

  /** @param {CallState | "up"} phase */
  #enter(phase) {
    this.#phase = phase;
    this.#announce();
  }

  #announce() {
    if (this.state === this.#told) return;
    this.#told = this.state;
    this.#tell("state");
  }

  /**
   * @param {string} type
   * @param {object} [detail]
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
