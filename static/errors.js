/**
 * What can go wrong with a call, as one error type whose `code` is for machines.
 *
 *     microphone_insecure   the page came over plain http from another machine
 *     microphone_denied     the person, the browser or the operating system said no
 *     microphone_missing    there is none
 *     microphone_in_use     another program holds it
 *     microphone_failed     anything else about the microphone
 *     unsupported           the browser has no WebRTC
 *     unreachable           the server did not answer the offer
 *     busy                  it answered 503; `retryAfter` seconds, if it said so
 *     key_missing           it wants a key, and was sent none (401)
 *     key_refused           it does not take the key that it was sent (401)
 *     refused, server       it answered any other 4xx, 5xx; `message` holds its own words
 *     no_path               offer answered, but no media path could be opened
 *     lost                  the call was up and its path broke
 *     ended                 `end()` was called before the call was up
 *
 * @typedef {"microphone_insecure" | "microphone_denied" | "microphone_missing" | "microphone_in_use"
 *   | "microphone_failed" | "unsupported" | "unreachable" | "busy" | "key_missing" | "key_refused" | "refused"
 *   | "server" | "no_path" | "lost" | "ended"} CallErrorCode
 */

/** A call that could not be made, or broke. */
export class CallError extends Error {
  /**
   * @param {CallErrorCode} code
   * @param {string} message
   * @param {{ retryAfter?: number | null, cause?: unknown }} [more]
   */
  constructor(code, message, { retryAfter = null, cause } = {}) {
    super(message, { cause });
    this.name = "CallError";
    this.code = code;
    /** Seconds after which the server wants to be asked again, or `null`. */
    this.retryAfter = retryAfter;
  }
}
