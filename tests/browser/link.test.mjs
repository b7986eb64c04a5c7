/** When the page says that the connection is poor. */

import { deepEqual, match } from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { LinkTracker } = await load("link.js");
const { linkWords } = await load("words.js");

/** What is said in each second of a call, by the opinions of what the server hears and of what it sends. */
function said(...opinions) {
  const tracker = new LinkTracker();
  return opinions.map(([inbound, outbound]) =>
    tracker.apply({ type: "voicertc.link", inbound: { mos: inbound }, outbound: { mos: outbound } }),
  );
}

test("a connection that stays poor is said once, and again after it was fair", () => {
  const [good, poor, middling] = [
    [4.3, 4.3],
    [2.0, 4.3],
    [3.3, 4.3],
  ];
  deepEqual(said(good, poor, poor, poor, poor, middling, poor, poor, poor, good, poor, poor, poor), [
    ...[null, null, null, "inbound"],
    ...[null, null, null, null, null, null],
    ...[null, null, "inbound"],
  ]);
});

test("a moment is not worth a word", () => {
  deepEqual(said([2, 2], [2, 2], [4, 4], [2, 2], [2, 2], [4, 4]), [null, null, null, null, null, null]);
});

test("where nothing is known, nothing is claimed", () => {
  deepEqual(said([null, null], [null, null], [null, null], [null, null]), [null, null, null, null]);
  // While the agent is silent there is no news of it.
  deepEqual(said([null, 2], [null, 2], [null, null], [null, 2]), [null, null, null, "outbound"]);
});

test("other events say nothing of it", () => {
  deepEqual(new LinkTracker().apply({ type: "voicertc.state", state: "listening" }), null);
});

test("the words say which way it is poor", () => {
  match(linkWords("inbound"), /what you say/);
  match(linkWords("outbound"), /what you hear/);
});
