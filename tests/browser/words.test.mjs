/** What the page says when something is wrong. */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

Object.defineProperty(globalThis, "navigator", { value: { onLine: true, userAgent: "Chrome" }, writable: true });
globalThis.location = /** @type {any} */ ({ host: "voice.example.com:8080", pathname: "/agent/" });

const { CallError } = await load("errors.js");
const { endWords, permissionSteps, stateWords, troubleWords } = await load("words.js");

const AGENTS = {
  "Chrome on Windows": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36",
  "Edge": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0",
  "Chrome on Android": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36",
  "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
  "Safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15",
  "iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Version/26.0 Mobile/15E148",
};

test("each browser's own switch for the microphone is named", () => {
  const firsts = Object.fromEntries(Object.entries(AGENTS).map(([name, agent]) => [name, permissionSteps(agent)[0]]));
  deepEqual(firsts, {
    "Chrome on Windows": "Click the icon to the left of the address.",
    "Edge": "Click the icon to the left of the address.",
    "Chrome on Android": "Tap the icon to the left of the address, then Permissions.",
    "Firefox": "Click the crossed-out microphone to the left of the address.",
    "Safari": "In the menu bar, choose Safari, then Settings for This Website.",
    "iPhone": "Tap the page menu in the address bar, then Website Settings.",
  });
});

test("the hint fits what the caller can do", () => {
  const hint = (state, caller = {}) =>
    stateWords(state, { isAsking: false, isMuted: false, hasMicrophone: true, ...caller }).hint;
  equal(hint("speaking"), "Just talk to interrupt.");
  equal(hint("speaking", { isMuted: true }), "You are muted.");
  equal(hint("speaking", { hasMicrophone: false }), "Type to talk.");
  equal(hint("thinking", { isMuted: true }), "The answer is on its way.");
  match(hint("connecting", { isAsking: true, hasMicrophone: false }), /Please allow it/);
});

test("a microphone refused by the system, or only dismissed, is not called blocked", () => {
  match(troubleWords(new CallError("microphone_denied", "Permission denied by system")).text, /privacy settings/);
  match(troubleWords(new CallError("microphone_denied", "Permission dismissed")).text, /choose Allow/);
  match(troubleWords(new CallError("microphone_denied", "Permission denied")).title, /blocked/);
});

test("an insecure page names the secure address", () => {
  const { steps } = troubleWords(new CallError("microphone_insecure", ""));
  match(steps[0], /https:\/\/voice\.example\.com:8080\/agent\//);
  ok(steps.some((step) => step.includes("http://localhost")));
});

test("a busy server is asked again when it wants to be", () => {
  const busy = (retryAfter) => troubleWords(new CallError("busy", "All 8 lines are in use", { retryAfter })).text;
  equal(busy(5), "Try again in 5 seconds.");
  equal(busy(1), "Try again in 1 second.");
  equal(busy(null), "All 8 lines are in use.");
});

test("being offline is told from a server that is gone", () => {
  match(endWords("lost").hint, /Check your network/);
  globalThis.navigator = /** @type {any} */ ({ onLine: false });
  match(endWords("lost").hint, /You are offline/);
  match(troubleWords(new CallError("unreachable", "")).text, /You are offline/);
  globalThis.navigator = /** @type {any} */ ({ onLine: true });
});

test("every end has words, an unknown one too", () => {
  for (const reason of ["hangup", "agent", "shutdown", "failed", "lost", "closed", "something_new"]) {
    ok(endWords(reason).title && endWords(reason).hint);
  }
});

test("every trouble has words", () => {
  const codes = ["microphone_insecure", "microphone_denied", "microphone_missing", "microphone_in_use", "microphone_failed"];
  for (const code of [...codes, "unsupported", "unreachable", "busy", "refused", "server", "no_path"]) {
    const { title, text } = troubleWords(new CallError(code, "Because"));
    ok(title && text);
  }
});
