/** Which STUN and TURN servers a page uses, and that a call never fails for want of them. */

import { deepEqual, equal } from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { load } from "./modules.mjs";

const { fetchIceServers } = await load("signalling.js");

const TURN = { urls: ["turn:turn.example:3478"], username: "1700000000:guest", credential: "c2VjcmV0" };

/** @type {(request: import("node:http").IncomingMessage, response: import("node:http").ServerResponse) => void} */
let answer;
const server = createServer((request, response) => answer(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
after(() => server.close());
globalThis.document = { baseURI: `http://127.0.0.1:${server.address().port}/agent/` };

test("they are asked for beside where offers go, with the page's key", async () => {
  const asked = [];
  answer = ({ url, headers }, response) => {
    asked.push([url, headers.authorization]);
    response.end(JSON.stringify({ iceServers: [TURN] }));
  };
  deepEqual(await fetchIceServers("v1/realtime/calls", { Authorization: "Bearer ek_1" }), [TURN]);
  deepEqual(asked, [["/agent/v1/realtime/ice_servers", "Bearer ek_1"]]);
});

for (const [what, status, body] of [
  ["does not know the question", 404, '{"error": {}}'],
  ["wants another key", 401, '{"error": {}}'],
  ["says something else", 200, '{"servers": 1}'],
  ["says no JSON", 200, "<html>"],
]) {
  test(`a server that ${what} is called without`, async () => {
    answer = (_, response) => response.writeHead(status).end(body);
    deepEqual(await fetchIceServers("v1/realtime/calls", {}), []);
  });
}

test("a server that is not there is told by the offer", async () => {
  equal((await fetchIceServers("http://127.0.0.1:9/v1/realtime/calls", {})).length, 0);
});
