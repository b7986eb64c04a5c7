/**
 * Listens in on a page from outside: sounds of both sides, messages, states. The page knows nothing of it.
 *
 * All times are seconds of one clock (`performance.now()`); those of sounds are the media's own timestamps, so that
 * a busy machine moves none of them.
 *
 * @typedef {object} Heard
 * @property {{ you: [number, number][], agent: [number, number][] }} levels `[time, dBFS]` of every 10 ms
 * @property {[number, object][]} received events of the server
 * @property {[number, object][]} sent events of the page
 * @property {[number, string][]} states of the page
 * @property {[number, number][]} sentEnergy total energy of what was given to the encoder
 */

/** Runs in the page, before anything of the page does. */
export function installEars() {
  const seconds = () => performance.now() / 1000;
  /** @type {Heard} */
  const heard = { levels: { you: [], agent: [] }, received: [], sent: [], states: [], sentEnergy: [] };
  /** @type {RTCPeerConnection[]} */
  const peers = [];
  /** @type {MediaStreamTrack[]} */
  const microphones = [];

  /** Not all that data channels carry is JSON. */
  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };

  async function listen(side, track) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const samples = new Float32Array(frame.numberOfFrames);
      frame.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      heard.levels[side].push([frame.timestamp / 1e6, 10 * Math.log10(power + 1e-10)]);
      frame.close();
    }
  }

  async function watchEnergy(peer) {
    while (peer.connectionState !== "closed") {
      for (const stats of (await peer.getStats()).values()) {
        if (stats.type === "media-source") heard.sentEnergy.push([seconds(), stats.totalAudioEnergy]);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...options) {
      super(...options);
      peers.push(this);
      this.addEventListener("track", ({ track }) => listen("agent", track));
      watchEnergy(this);
    }

    addTrack(track, ...streams) {
      microphones.push(track);
      listen("you", track);
      return super.addTrack(track, ...streams);
    }

    createDataChannel(...options) {
      const channel = super.createDataChannel(...options);
      const send = channel.send.bind(channel);
      channel.send = (text) => {
        heard.sent.push([seconds(), parsed(text)]);
        send(text);
      };
      channel.addEventListener("message", ({ data }) => heard.received.push([seconds(), parsed(data)]));
      return channel;
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    const note = () => {
      const state = document.body.dataset.state ?? "";
      if (state !== heard.states.at(-1)?.[1]) heard.states.push([seconds(), state]);
    };
    new MutationObserver(note).observe(document.body, { attributeFilter: ["data-state"] });
    note();
  });

  window.ears = { heard, peers, microphones };
}

/** Runs in the page: what it shows. */
export function readPage() {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? "";
  const isShown = (id) => document.getElementById(id)?.checkVisibility() ?? false;
  return {
    title: text("#title"),
    hint: text("#hint"),
    steps: [...document.querySelectorAll("#steps li")].map((step) => step.textContent),
    announced: text("#announcer"),
    notice: isShown("notice") ? text("#notice") : "",
    buttons: [...document.querySelectorAll("button")]
      .filter((button) => button.checkVisibility() && !button.disabled)
      .map((button) => button.ariaLabel ?? button.textContent.trim()),
    entries: [...document.querySelectorAll("#transcript > li")].map((row) => ({
      kind: row.className,
      said: row.querySelector(".said")?.textContent ?? "",
      unheard: row.querySelector(".unheard")?.textContent ?? "",
      note: row.querySelector("small")?.textContent ?? "",
      latency: readLatency(row),
    })),
  };

  /** How fast a turn was answered: the line, and the numbers of what it opens to. */
  function readLatency(row) {
    const details = row.querySelector("details");
    const numbers = [...(details?.querySelectorAll("dl > div") ?? [])].map((pair) => [
      pair.querySelector("dt").textContent,
      Number.parseInt(pair.querySelector("dd").textContent, 10),
    ]);
    const summary = details?.querySelector("summary").textContent.replace("\u00a0", " ");
    return details && { summary, ms: Object.fromEntries(numbers) };
  }
}
