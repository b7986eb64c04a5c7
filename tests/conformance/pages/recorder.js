/** Keeps the sound of both sides, sample by sample: which words were heard is told by their spectrum. */

(() => {
  /** @type {Record<string, { time: number, rate: number, samples: Int16Array }[]>} */
  const kept = { you: [], agent: [] };

  async function keep(side, track) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const floats = new Float32Array(frame.numberOfFrames);
      frame.copyTo(floats, { planeIndex: 0, format: "f32-planar" });
      const samples = Int16Array.from(floats, (float) => Math.round(32_767 * Math.max(-1, Math.min(1, float))));
      kept[side].push({ time: frame.timestamp / 1e6, rate: frame.sampleRate, samples });
      frame.close();
    }
  }

  const { mediaDevices } = navigator;
  const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const stream = await getUserMedia(constraints);
    for (const track of stream.getAudioTracks()) keep("you", track);
    return stream;
  };

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...options) {
      super(...options);
      this.addEventListener("track", ({ track }) => track.kind === "audio" && keep("agent", track));
    }
  };

  /** What was kept of a side: one stretch of samples, as base64, and when it began. */
  window.recorded = (side) => {
    const frames = kept[side];
    if (frames.length === 0) return { start: 0, rate: 48_000, pcm: "" };
    const [{ time: start, rate }] = frames;
    const last = frames.at(-1);
    const all = new Int16Array(Math.round((last.time - start) * rate) + last.samples.length);
    for (const { time, samples } of frames) all.set(samples, Math.round((time - start) * rate));
    const bytes = new Uint8Array(all.buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
    return { start, rate, pcm: btoa(text) };
  };
})();
