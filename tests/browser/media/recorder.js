/** Hands on every sample that passes, a tenth of a second at a time. */

const LENGTH = 4_800;

class Recorder extends AudioWorkletProcessor {
  #samples = new Int16Array(LENGTH);
  #n = 0;

  /** @param {Float32Array[][]} inputs */
  process([[samples]]) {
    // Without a source there is silence; it takes its time, too.
    for (let at = 0; at < 128; at += 1) {
      const value = samples ? Math.max(-1, Math.min(1, samples[at])) : 0;
      this.#samples[this.#n++] = Math.round(32_767 * value);
    }
    if (this.#n > LENGTH - 128) {
      this.port.postMessage(this.#samples.slice(0, this.#n));
      this.#n = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
