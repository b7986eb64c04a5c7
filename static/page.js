/** The page at `/`: it joins a call to what is seen and clicked, and holds no logic of its own. */

import { savedKey, saveKey } from "./key.js";
import { LinkTracker } from "./link.js";
import { Orb } from "./orb.js";
import { TranscriptView } from "./transcript.js";
import { CallError, VoicertcCall } from "./voicertc.js";
import { endWords, linkWords, stateWords, troubleWords } from "./words.js";

const NOTICE_MS = 8_000;

const orb = new Orb();
const transcript = new TranscriptView(byId("transcript"));
/** @type {VoicertcCall | null} the present call, or the last */
let call = null;
/** @type {WakeLockSentinel | null} */
let wakeLock = null;
let startedAt = 0;
/** The server's, if it wants one. */
let key = savedKey();
let withMicrophoneLast = true;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let noticeTimer;
let clockTimer = 0;

byId("start").addEventListener("click", () => begin(true));
byId("without").addEventListener("click", () => begin(false));
byId("mute").addEventListener("click", () => mute(!call?.isMuted));
byId("end").addEventListener("click", () => call?.end());
byId("unlock").addEventListener("submit", (event) => unlock(event));
byId("hear").addEventListener("click", () => hear());
byId("compose").addEventListener("submit", (event) => send(event));
byId("text").addEventListener("input", () => showSendable());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") call?.interrupt();
});

/** @param {boolean} withMicrophone */
async function begin(withMicrophone) {
  const next = new VoicertcCall({
    microphone: withMicrophone,
    audio: /** @type {HTMLAudioElement} */ (byId("voice")),
    key,
  });
  call = next;
  withMicrophoneLast = withMicrophone;
  listenTo(next);
  byId("steps").replaceChildren();
  byId("unlock").hidden = true;
  transcript.divide("New call");
  try {
    await next.start();
    showCall(next);
  } catch (error) {
    orb.rest();
    showFailure(error);
  }
}

/** @param {VoicertcCall} call */
function listenTo(call) {
  const link = new LinkTracker();
  /** @type {Record<string, (detail: any) => void>} */
  const reactions = {
    state: () => showState(call),
    conversation: () => transcript.show(call.conversation.entries),
    microphone: ({ stream }) => {
      orb.follow("you", stream);
      showState(call);
    },
    microphonelost: () => {
      byId("mute").hidden = true;
      showState(call);
      notify("Your microphone was unplugged. You can go on by typing.");
    },
    voice: ({ stream }) => orb.follow("agent", stream),
    playbackblocked: () => {
      byId("hear").hidden = false;
      say("Your browser is holding back the sound. Choose Tap to hear.");
    },
    playbackstarted: () => {
      byId("hear").hidden = true;
    },
    event: ({ event }) => {
      const poor = link.apply(event);
      if (poor) notify(linkWords(poor));
      if (event.type === "voicertc.metrics") transcript.measure(event);
    },
    problem: ({ error }) => notify(error.message),
    ended: ({ reason }) => showEnd(reason),
  };
  for (const [type, react] of Object.entries(reactions)) {
    call.addEventListener(type, (event) => react(/** @type {CustomEvent} */ (event).detail));
  }
}

// --- what is clicked ----------------------------------------------------------------------------

function hear() {
  orb.wake();
  call?.hear();
}

/** @param {SubmitEvent} event */
function unlock(event) {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId("key"));
  const given = input.value.replace(/[^!-~]/g, ""); // what is pasted brings spaces along, and worse
  if (!given) return;
  key = given;
  saveKey(key);
  input.value = "";
  begin(withMicrophoneLast);
}

/** @param {boolean} isMuted */
function mute(isMuted) {
  if (!call) return;
  call.mute(isMuted);
  showMuted(isMuted);
  showState(call);
  say(isMuted ? "Muted" : "Unmuted");
}

/** @param {SubmitEvent} event */
function send(event) {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId("text"));
  const text = input.value.trim();
  if (!text || !call?.isOpen) return;
  call.say(text);
  input.value = "";
  showSendable();
}

// --- what is seen -------------------------------------------------------------------------------

/** @param {VoicertcCall} call */
function showState(call) {
  const { state } = call;
  document.body.dataset.state = state;
  byId("controls").hidden = state === "disconnected";
  byId("actions").hidden = state !== "disconnected";
  showSendable();
  if (state === "disconnected") return; // why it ended is said by who knows it
  const { title, hint } = stateWords(state, call);
  showWords(title, hint);
  if (["connecting", "reconnecting"].includes(state)) say(title);
}

/** @param {VoicertcCall} call */
function showCall(call) {
  byId("mute").hidden = !call.hasMicrophone;
  showMuted(call.isMuted);
  startedAt = performance.now();
  byId("clock").hidden = false;
  showClock();
  clockTimer = setInterval(showClock, 1000);
  keepAwake();
  say("Connected");
  // Who talks does not want a phone to open its keyboard.
  byId(call.hasMicrophone ? "mute" : "text").focus({ preventScroll: true });
}

/** @param {string} reason */
function showEnd(reason) {
  const { title, hint } = endWords(reason);
  orb.rest();
  clearInterval(clockTimer);
  clearNotice();
  byId("hear").hidden = true;
  byId("clock").hidden = true;
  wakeLock?.release();
  showWords(title, hint);
  offer(reason === "lost" ? "Reconnect" : "Start again");
  say(`${title}. ${hint}`);
}

/** @param {unknown} error */
function showFailure(error) {
  const failure = error instanceof CallError ? error : new CallError("server", String(error));
  if (failure.code === "ended") return showEnd("hangup");
  const { title, text, steps = [] } = troubleWords(failure);
  const items = steps.map((step) => Object.assign(document.createElement("li"), { textContent: step }));
  byId("steps").replaceChildren(...items);
  showWords(title, text);
  if (["key_missing", "key_refused"].includes(failure.code)) askForKey();
  else offer("Try again");
  say([title, text, ...steps].join(" "));
}

function askForKey() {
  key = null;
  saveKey(null);
  byId("actions").hidden = true;
  byId("unlock").hidden = false;
  byId("key").focus({ preventScroll: true });
}

/** @param {string} label of the button that starts a call */
function offer(label) {
  byId("start-label").textContent = label;
  byId("start").focus({ preventScroll: true });
}

/**
 * @param {string} title
 * @param {string} hint
 */
function showWords(title, hint) {
  byId("title").textContent = title;
  byId("hint").textContent = hint;
}

/** @param {boolean} isMuted */
function showMuted(isMuted) {
  document.body.classList.toggle("muted", isMuted);
  byId("mute").ariaPressed = String(isMuted);
}

function showSendable() {
  const text = /** @type {HTMLInputElement} */ (byId("text")).value.trim();
  /** @type {HTMLButtonElement} */ (byId("send")).disabled = !text || !call?.isOpen;
}

function showClock() {
  const seconds = Math.floor((performance.now() - startedAt) / 1000);
  byId("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * Something to know that does not stop the call.
 *
 * @param {string} text
 */
function notify(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
  say(text);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(clearNotice, NOTICE_MS);
}

function clearNotice() {
  clearTimeout(noticeTimer);
  byId("notice").hidden = true;
}

/**
 * Tell who cannot see the page. Only what the agent's voice does not say already.
 *
 * @param {string} text
 */
function say(text) {
  byId("announcer").textContent = text;
}

/** A phone that goes to sleep takes its microphone along. */
async function keepAwake() {
  try {
    wakeLock = await navigator.wakeLock?.request("screen");
  } catch {
    // Low on battery, or not in view: then it may sleep.
  }
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
