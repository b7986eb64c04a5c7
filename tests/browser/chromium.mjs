/** Starting Chromium with a file for a microphone. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

/** What every Chromium here is started with. */
export const FLAGS = [
  "--no-sandbox", // CI runs as root
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const MICROPHONES = {
  allow: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
  deny: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny"],
  none: ["--use-fake-ui-for-media-stream"],
};

/**
 * Run `use` with a fresh browser, and close it whatever happens.
 *
 * @template T
 * @param {object} options
 * @param {string | null} [options.wav] played once, from the moment the microphone is opened; then silence follows
 * @param {"allow" | "deny" | "none"} [options.microphone] what becomes of the wish for one; `none`: there is none
 * @param {string[]} [options.flags] more of Chromium's
 * @param {(browser: import("puppeteer-core").Browser) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withChromium({ wav, microphone = "allow", flags = [] }, use) {
  const userDataDir = await mkdtemp(join(tmpdir(), "voicertc-chromium-"));
  // Without a file, Chromium's microphone beeps once a second.
  const sound = wav ?? (await writeSilence(join(userDataDir, "silence.wav")));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    userDataDir,
    args: [
      ...FLAGS,
      `--use-file-for-fake-audio-capture=${sound}%noloop`,
      ...MICROPHONES[microphone],
      ...flags,
    ],
  });
  try {
    return await use(browser);
  } finally {
    await browser.close();
    await rm(userDataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Write a second of silence: WAV, 48 kHz, mono, 16 bit.
 *
 * @param {string} path
 */
async function writeSilence(path) {
  const rate = 48_000;
  const wav = Buffer.alloc(44 + 2 * rate);
  wav.write("RIFF", 0);
  wav.writeUInt32LE(wav.length - 8, 4);
  wav.write("WAVEfmt ", 8);
  wav.writeUInt32LE(16, 16); // bytes of what follows, up to "data"
  wav.writeUInt16LE(1, 20); // PCM
  wav.writeUInt16LE(1, 22); // channels
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(2 * rate, 28); // bytes a second
  wav.writeUInt16LE(2, 32); // bytes a sample
  wav.writeUInt16LE(16, 34); // bits a sample
  wav.write("data", 36);
  wav.writeUInt32LE(2 * rate, 40);
  await writeFile(path, wav);
  return path;
}
