/**
 * The WebRTC half of a call: one peer connection, one data channel, and what becomes of them.
 *
 * Events of a connection, each a `CustomEvent`:
 *
 *     voice    detail {stream}: the server's sound
 *     open     the data channel takes messages
 *     message  detail {text}
 *     away     nothing arrives any more; it may come back
 *     back     it did
 *     lost     it did not
 *     closed   the server closed it
 */

import { CallError } from "./errors.js";
import { postHangup, postOffer } from "./signalling.js";

const CONNECT_TIMEOUT_MS = 15_000;
const AWAY_TIMEOUT_MS = 15_000;

/**
 * @typedef {object} ConnectionOptions
 * @property {string} url where the offer goes
 * @property {Record<string, string>} headers
 * @property {RTCIceServer[]} iceServers
 */

/** Opened once, closed once; `close()` may be called at any time and again. */
export class Connection extends EventTarget {
  #options;
  #peer;
  #channel;
  /** @type {RTCRtpSender | null} */
  #sender = null;
  /** @type {string | null} */
  #callUrl = null;
  #closed = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#peer = new RTCPeerConnection({ iceServers: options.iceServers, bundlePolicy: "max-bundle" });
    this.#peer.addEventListener("track", ({ track, streams }) => {
      this.#tell("voice", { stream: streams[0] ?? new MediaStream([track]) });
    });
    this.#channel = this.#peer.createDataChannel("oai-events");
    this.#channel.addEventListener("open", () => this.#tell("open"));
    this.#channel.addEventListener("message", ({ data }) => this.#tell("message", { text: data }));
    this.#channel.addEventListener("close", () => this.#tell("closed"));
  }

  /** Whether messages can be sent. */
  get isOpen() {
    return this.#channel.readyState === "open";
  }

  /**
   * Offer the connection; resolves when media flows.
   *
   * @param {MediaStream | null} microphone `null`: only receive
   * @throws {CallError}
   */
  async open(microphone) {
    const track = microphone?.getAudioTracks()[0];
    if (microphone && track) this.#sender = this.#peer.addTrack(track, microphone);
    else this.#peer.addTransceiver("audio", { direction: "recvonly" });
    await this.#peer.setLocalDescription();
    // No waiting for candidates of our own: the server learns our address from our first packet.
    const offer = this.#peer.localDescription?.sdp ?? "";
    const { url, headers } = this.#options;
    const { answer, callUrl } = await postOffer(url, offer, headers, this.#closed.signal);
    this.#callUrl = callUrl;
    if (!this.#closed.signal.aborted) {
      await this.#peer.setRemoteDescription({ type: "answer", sdp: answer });
      await this.#connected();
    }
    if (this.#closed.signal.aborted) {
      this.hangUp();
      throw new CallError("ended", "The call was ended before it was up.");
    }
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
  }

  /** @param {MediaStreamTrack} track the microphone to go on with */
  async exchange(track) {
    await this.#sender?.replaceTrack(track);
  }

  /** @param {string} text */
  send(text) {
    if (this.isOpen) this.#channel.send(text);
  }

  /** Tell the server that the call is over; safe while the page is being closed. */
  hangUp() {
    if (this.#callUrl) postHangup(this.#callUrl, this.#options.headers);
    this.#callUrl = null;
  }

  close() {
    clearTimeout(this.#deadline);
    this.#closed.abort();
    this.#channel.close();
    this.#peer.close();
  }

  /** @returns {Promise<void>} when media flows, or the connection was closed */
  #connected() {
    return new Promise((resolve, reject) => {
      const refuse = () => reject(new CallError("no_path", "The server answered, but no sound gets through."));
      const check = () => {
        if (this.#peer.connectionState === "connected") resolve();
        if (this.#peer.connectionState === "failed") refuse();
      };
      this.#peer.addEventListener("connectionstatechange", check);
      this.#closed.signal.addEventListener("abort", () => resolve());
      this.#deadline = setTimeout(refuse, CONNECT_TIMEOUT_MS);
      check();
    });
  }

  #watch() {
    clearTimeout(this.#deadline);
    switch (this.#peer.connectionState) {
      case "connected":
        this.#tell("back");
        break;
      case "disconnected":
        this.#deadline = setTimeout(() => this.#tell("lost"), AWAY_TIMEOUT_MS);
        this.#tell("away");
        break;
      case "failed":
        this.#tell("lost");
    }
  }

  /**
   * @param {string} type
   * @param {object} [detail]
   */
  #tell(type, detail) {
    // What the browser still reports after the end is no news.
    if (!this.#closed.signal.aborted) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
