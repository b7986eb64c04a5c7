/** Sound in Node: a microphone that never rests, and which words were spoken, told by their tones (words.py). */

import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

const RATE = 24_000;
const PIECE_MS = 100;
const WORD_SECONDS = 0.3;

/** A recording of people, as Python has written it: 16 bit, 24 kHz, mono. */
export const said = (words) => readFile(`${process.env.SPEECH}/${words}.pcm`);

/** Sends pieces of 100 ms in real time: what is to be said, else silence. */
export class Microphone {
  #send;
  #toSay = [];
  #isOpen = true;

  /** @param {(piece: ArrayBuffer) => void} send */
  constructor(send) {
    this.#send = send;
    this.#run();
  }

  /** @param {Buffer} pcm */
  say(pcm) {
    const bytes = (RATE / 1000) * PIECE_MS * 2;
    for (let at = 0; at < pcm.length; at += bytes) {
      const piece = Buffer.alloc(bytes);
      pcm.copy(piece, 0, at, at + bytes);
      this.#toSay.push(piece);
    }
  }

  close() {
    this.#isOpen = false;
  }

  async #run() {
    for (let due = performance.now(); this.#isOpen; due += PIECE_MS) {
      const piece = this.#toSay.shift() ?? Buffer.alloc((RATE / 1000) * PIECE_MS * 2);
      this.#send(new Uint8Array(piece).buffer);
      await pause(Math.max(0, due + PIECE_MS - performance.now()));
    }
  }
}

/**
 * The number that each spoken word stands for, 0 for words that are no numbers.
 *
 * @param {Buffer[]} chunks of one reply, 16 bit, 24 kHz, mono
 */
export function numbersIn(chunks) {
  const bytes = Buffer.concat(chunks);
  const samples = new Int16Array(new Uint8Array(bytes).buffer);
  const length = RATE * WORD_SECONDS;
  const numbers = [];
  for (let at = 0; at + length <= samples.length; at += length) {
    const word = samples.subarray(at, at + length / 2);
    const powers = Array.from({ length: 41 }, (_, number) => power(word, 300 + 50 * number));
    numbers.push(powers.indexOf(Math.max(...powers)));
  }
  return numbers;
}

/** How much of a frequency is in a sound (Goertzel's algorithm). */
function power(samples, frequency) {
  const turn = 2 * Math.cos((2 * Math.PI * frequency) / RATE);
  let [last, before] = [0, 0];
  for (const sample of samples) [last, before] = [sample + turn * last - before, last];
  return last * last + before * before - turn * last * before;
}
