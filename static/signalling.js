/** The HTTP half of a call: the offer goes out, the answer comes back, and later a word of goodbye. */

import { CallError } from "./errors.js";

const ANSWER_TIMEOUT_MS = 15_000;
const ICE_SERVERS_TIMEOUT_MS = 3_000;

/**
 * Ask which STUN and TURN servers to use; a server that knows none, or not the question, is called without.
 *
 * @param {string} url where offers go
 * @param {Record<string, string>} headers
 * @returns {Promise<RTCIceServer[]>}
 */
export async function fetchIceServers(url, headers) {
  try {
    const beside = new URL("ice_servers", new URL(url, document.baseURI));
    const response = await fetch(beside, { headers, signal: AbortSignal.timeout(ICE_SERVERS_TIMEOUT_MS) });
    return response.ok ? ((await response.json()).iceServers ?? []) : [];
  } catch {
    // If the server is not there at all, the offer will tell.
    return [];
  }
}

/**
 * Post an SDP offer (OpenAI Realtime: `POST /v1/realtime/calls`).
 *
 * @param {string} url relative to the page, so that a server mounted under a prefix is found
 * @param {string} offer SDP
 * @param {Record<string, string>} headers
 * @param {AbortSignal} ended
 * @returns {Promise<{ answer: string, callUrl: string | null }>} `callUrl` is `null` when the server named none
 * @throws {CallError}
 */
export async function postOffer(url, offer, headers, ended) {
  let response;
  let body;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...headers },
      body: offer,
      signal: AbortSignal.any([ended, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    body = await response.text();
  } catch (error) {
    if (ended.aborted) throw new CallError("ended", "The call was ended before it was up.");
    throw new CallError("unreachable", "The server does not answer.", { cause: error });
  }
  if (!response.ok) throw responseError(response, body, "Authorization" in headers);
  const location = response.headers.get("Location");
  return { answer: body, callUrl: location && new URL(location, response.url).href };
}

/**
 * Tell the server that the call is over, even while the page is being closed.
 *
 * @param {string} callUrl
 * @param {Record<string, string>} headers
 */
export function postHangup(callUrl, headers) {
  // A beacon survives the page in every browser, but carries no headers.
  if (Object.keys(headers).length === 0 && navigator.sendBeacon?.(`${callUrl}/hangup`)) return;
  // The server may have forgotten the call already (404), or be gone: both are goodbyes too.
  fetch(`${callUrl}/hangup`, { method: "POST", headers, keepalive: true }).catch(() => {});
}

/**
 * @param {Response} response
 * @param {string} body
 * @param {boolean} hadKey
 */
function responseError(response, body, hadKey) {
  const message = messageIn(body) ?? `The server answered ${response.status} ${response.statusText}`.trim();
  if (response.status === 503 || response.status === 429) {
    return new CallError("busy", message, { retryAfter: secondsUntil(response.headers.get("Retry-After")) });
  }
  if (response.status === 401) return new CallError(hadKey ? "key_refused" : "key_missing", message);
  return new CallError(response.status >= 500 ? "server" : "refused", message);
}

/**
 * The sentence in `{"error": {"message": …}}`, or `null` when the body is something else.
 *
 * @param {string} body
 * @returns {string | null}
 */
function messageIn(body) {
  try {
    return JSON.parse(body).error.message ?? null;
  } catch {
    return null;
  }
}

/**
 * `Retry-After` as seconds from now (RFC 9110 §10.2.3: seconds, or a date).
 *
 * @param {string | null} value
 * @returns {number | null}
 */
function secondsUntil(value) {
  if (!value) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(1, Math.ceil(seconds)) : null;
}
