/** Opening the microphone, with the browser's many refusals translated into `CallError`. */

import { CallError } from "./errors.js";

/** What a voice call wants: one channel, cleaned of echo, noise and differences of level. */
export const VOICE = Object.freeze({
  channelCount: 1,
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
});

/**
 * Ask for the microphone.
 *
 * @param {MediaTrackConstraints} [constraints] on top of `VOICE`
 * @returns {Promise<MediaStream>}
 * @throws {CallError}
 */
export async function openMicrophone(constraints = {}) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError("microphone_insecure", "This page has no access to microphones.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { ...VOICE, ...constraints } });
  } catch (error) {
    throw microphoneError(error);
  }
}

/** @param {unknown} error */
function microphoneError(error) {
  const { name, message } = /** @type {DOMException} */ (error);
  /** @type {Record<string, import("./errors.js").CallErrorCode>} */
  const codes = {
    NotAllowedError: "microphone_denied",
    SecurityError: "microphone_denied",
    NotFoundError: "microphone_missing",
    OverconstrainedError: "microphone_missing",
    NotReadableError: "microphone_in_use",
    AbortError: "microphone_in_use",
  };
  return new CallError(codes[name] ?? "microphone_failed", message, { cause: error });
}
