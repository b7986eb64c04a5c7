/** How loud a stream is, for the eye. */

const QUIET_DB = -58;
const LOUD_DB = -14;

/** A level meter on one stream; `close()` it when the call is over. */
export class Meter {
  #samples = new Float32Array(1024);
  #source;
  #analyser;

  /**
   * @param {AudioContext} context shared by the meters of a page
   * @param {MediaStream} stream with an audio track
   */
  constructor(context, stream) {
    this.#source = context.createMediaStreamSource(stream);
    this.#analyser = new AnalyserNode(context, { fftSize: this.#samples.length });
    this.#source.connect(this.#analyser);
  }

  /** @returns {number} 0 (quiet) to 1 (as loud as speech gets), of the last 20 ms or so */
  read() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    const db = 10 * Math.log10(power + 1e-12);
    return Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB)));
  }

  close() {
    this.#source.disconnect();
  }
}
