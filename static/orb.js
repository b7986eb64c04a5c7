/** The figure in the middle of the page: the disc moves with the agent's voice, the ring with yours. */

import { Meter } from "./meter.js";

const RISE = 0.5; // share of the way to a louder level, per frame
const FALL = 0.12; // and to a quieter one: voices should not flicker

/** Owns the audio context and the meters of the present call; draws while a call is on. */
export class Orb {
  #root = document.documentElement.style;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {Map<string, { meter: Meter, level: number }>} by the name of the CSS variable */
  #meters = new Map();
  #frame = 0;

  /**
   * Follow a stream; one more for the same side takes its place.
   *
   * @param {"you" | "agent"} side
   * @param {MediaStream} stream
   */
  follow(side, stream) {
    this.#context ??= new AudioContext();
    this.wake();
    this.#meters.get(side)?.meter.close();
    this.#meters.set(side, { meter: new Meter(this.#context, stream), level: 0 });
    if (this.#frame === 0) this.#draw();
  }

  /** Browsers keep an audio context silent until there was a click. */
  wake() {
    this.#context?.resume().catch(() => {}); // it was closed meanwhile
  }

  /** Let go of everything. */
  rest() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const [side, { meter }] of this.#meters) {
      meter.close();
      this.#root.setProperty(`--${side}`, "0");
    }
    this.#meters.clear();
    this.#context?.close();
    this.#context = null;
  }

  #draw = () => {
    for (const [side, state] of this.#meters) {
      const heard = state.meter.read();
      state.level += (heard - state.level) * (heard > state.level ? RISE : FALL);
      this.#root.setProperty(`--${side}`, state.level.toFixed(3));
    }
    this.#frame = requestAnimationFrame(this.#draw);
  };
}
