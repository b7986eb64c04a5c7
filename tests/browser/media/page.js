/**
 * A call that keeps what it hears, sample by sample, and what the browser counted meanwhile.
 *
 * What it says is `said.wav`, out of Web Audio and not out of a microphone: no browser improves that, and so it is
 * known. The server leads, on the data channel: "speak", "mark NAME" (count now), "end" (hand over what was kept).
 */

const RATE = 48_000;
const KINDS = ["inbound-rtp", "outbound-rtp", "remote-inbound-rtp", "candidate-pair"];

const context = new AudioContext({ sampleRate: RATE });
await context.audioWorklet.addModule("recorder.js");
const said = await context.decodeAudioData(await (await fetch("said.wav")).arrayBuffer());
await context.resume();

/** @type {Int16Array[]} */
const heard = [];
/** @type {object[]} */
const counted = [];

const peer = new RTCPeerConnection();
const mouth = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
peer.addTrack(mouth.stream.getAudioTracks()[0], mouth.stream);
peer.addEventListener("track", ({ streams: [stream] }) => {
  document.querySelector("audio").srcObject = stream; // Chromium decodes only what an element plays
  const recorder = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  recorder.port.onmessage = ({ data }) => heard.push(data);
  window.source = context.createMediaStreamSource(stream); // kept: what nobody refers to falls silent
  window.source.connect(recorder).connect(context.destination);
});

/** @param {string} mark what begins now, if anything does */
async function count(mark = "") {
  const reports = [...(await peer.getStats()).values()].filter(({ type }) => KINDS.includes(type));
  const at = heard.reduce((sum, { length }) => sum + length, 0);
  counted.push({ mark, at, ...Object.fromEntries(reports.map((report) => [report.type, report])) });
}

/** @type {Record<string, (name: string) => unknown>} */
const DO = {
  speak: () => {
    const voice = new AudioBufferSourceNode(context, { buffer: said });
    voice.connect(mouth);
    voice.start();
  },
  mark: count,
  end: async () => {
    await fetch("counted", { method: "POST", body: JSON.stringify(counted) });
    await fetch("heard", { method: "POST", body: new Blob(heard) });
  },
};

const channel = peer.createDataChannel("oai-events");
channel.onmessage = ({ data }) => {
  const [what, name] = data.split(" ");
  DO[what](name);
};
setInterval(count, 500);

await peer.setLocalDescription();
const answer = await fetch("offer", { method: "POST", body: peer.localDescription.sdp });
await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
