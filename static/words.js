/** What the page says in words: states, ends and troubles. Data and pure functions, no DOM. */

/**
 * @typedef {import("./callstate.js").CallState} CallState
 * @typedef {import("./errors.js").CallError} CallError
 *
 * @typedef {object} Trouble
 * @property {string} title
 * @property {string} text
 * @property {string[]} [steps] what to do, in order
 */

/**
 * Title and hint of each state.
 *
 * @type {Record<CallState, { title: string, hint: string }>}
 */
const STATES = {
  idle: { title: "Start a conversation", hint: "" }, // its hint stands in the page
  connecting: { title: "Connecting", hint: "Opening a line to the server." },
  initializing: { title: "Connecting", hint: "Almost there." },
  listening: { title: "Listening", hint: "Go ahead." },
  processing: { title: "Processing", hint: "Making out what you said." },
  thinking: { title: "Thinking", hint: "The answer is on its way." },
  speaking: { title: "Speaking", hint: "Just talk to interrupt." },
  interrupted: { title: "Interrupted", hint: "The floor is yours." },
  reconnecting: { title: "Reconnecting", hint: "The line is silent. Waiting for it to come back." },
  ending: { title: "Ending", hint: "Saying goodbye." },
  disconnected: { title: "Call ended", hint: "" },
};

/**
 * Title and hint of a state, as fits what this caller can do.
 *
 * @param {CallState} state
 * @param {{ isAsking: boolean, isMuted: boolean, hasMicrophone: boolean }} caller `isAsking`: the browser asks
 *   whether the microphone may be used
 */
export function stateWords(state, { isAsking, isMuted, hasMicrophone }) {
  const { title, hint } = STATES[state];
  const isYourTurn = ["listening", "speaking", "interrupted"].includes(state);
  if (isAsking) return { title, hint: "Your browser is asking for the microphone. Please allow it." };
  if (isYourTurn && !hasMicrophone) return { title, hint: "Type to talk." };
  if (isYourTurn && isMuted) return { title, hint: "You are muted." };
  return { title, hint };
}

/**
 * Why a call ended, by the reason that the server or the client gave.
 *
 * @type {Record<string, { title: string, hint: string }>}
 */
const ENDS = {
  hangup: { title: "Call ended", hint: "Talk again whenever you like." },
  agent: { title: "Call ended", hint: "The agent said goodbye." },
  shutdown: { title: "Call ended", hint: "The server is being restarted. Try again in a moment." },
  failed: { title: "Call ended", hint: "Something went wrong on the server. Try again." },
  lost: { title: "Connection lost", hint: "Check your network, then reconnect." },
  closed: { title: "Call ended", hint: "The server closed the call." },
};

/**
 * @param {string} reason
 * @returns {{ title: string, hint: string }}
 */
export function endWords(reason) {
  if (reason === "lost" && !navigator.onLine) {
    return { title: "Connection lost", hint: "You are offline. Reconnect when your network is back." };
  }
  return ENDS[reason] ?? ENDS.closed;
}

/**
 * What a poor connection does.
 *
 * @param {import("./link.js").Direction} direction
 */
export function linkWords(direction) {
  const what = direction === "inbound" ? "what you say" : "what you hear";
  return `Your connection is poor: parts of ${what} may be missing.`;
}

/**
 * What each stage of an answered turn is for, by its name in `voicertc.metrics`.
 *
 * @type {Record<string, string>}
 */
const STAGES = {
  silence_ms: "Silence",
  recognition_ms: "Recognition",
  first_text_ms: "First words",
  first_clause_ms: "First clause",
  first_audio_ms: "Voice",
  playout_ms: "On its way",
  heard_ms: "To the ear",
};

/**
 * @param {string} stage
 * @returns {string} its own name where a newer server has one that is not known here
 */
export function stageWords(stage) {
  const name = stage.replace(/_ms$/, "").replaceAll("_", " ");
  return STAGES[stage] ?? name.charAt(0).toUpperCase() + name.slice(1);
}

/**
 * How fast a turn was answered.
 *
 * @param {number} ms from the end of speech to the ear
 * @param {boolean} isBridged whether a filler was heard before the answer
 */
export function answeredWords(ms, isBridged) {
  return `Answered in ${(ms / 1000).toFixed(2)}\u00a0s${isBridged ? ", after a filler" : ""}`;
}

/**
 * What went wrong and what to do about it.
 *
 * @param {CallError} error
 * @returns {Trouble}
 */
export function troubleWords(error) {
  switch (error.code) {
    case "microphone_insecure":
      return {
        title: "This address cannot use the microphone",
        text: "Browsers give the microphone to secure pages only.",
        steps: [
          `Open ${secureAddress()} instead, if the server is set up for it.`,
          "If the server runs on this computer, open it as http://localhost.",
          "Whoever runs it can start it with a certificate: voicertc serve --tls self-signed.",
        ],
      };
    case "microphone_denied":
      return microphoneDenied(error.message);
    case "microphone_missing":
      return {
        title: "No microphone found",
        text: "Plug one in or switch your headset on, then try again. You can also type.",
      };
    case "microphone_in_use":
      return {
        title: "The microphone is taken",
        text: "Another program is using it. Close that program, then try again. You can also type.",
      };
    case "microphone_failed":
      return { title: "The microphone does not work", text: `Your browser says: ${error.message}` };
    case "key_missing":
      return {
        title: "This server wants a key",
        text: "Ask whoever runs it. The key is kept until you close this tab.",
      };
    case "key_refused":
      return { title: "The key was not accepted", text: "It may be mistyped, or have expired. Try another one." };
    case "busy":
      return { title: "All lines are busy", text: retryWords(error) };
    case "unreachable":
      return {
        title: "The server cannot be reached",
        text: navigator.onLine ? "It may be stopped or restarting. Try again." : "You are offline.",
      };
    case "no_path":
      return {
        title: "No sound gets through",
        text: "The server answered, but audio could not be exchanged with it.",
        steps: [
          "A VPN or firewall may block UDP: switch it off or try another network.",
          "On a server behind NAT or in a container, its public address must be announced in its settings.",
        ],
      };
    case "unsupported":
      return { title: "This browser cannot make calls", text: "Use a current Chrome, Edge, Firefox or Safari." };
    default:
      return { title: "The call could not be made", text: sentence(error.message) };
  }
}

/** @param {string} message the browser's own */
function microphoneDenied(message) {
  if (/by system/i.test(message)) {
    return {
      title: "Your system keeps the microphone from the browser",
      text: "Allow it in the privacy settings of your device, then try again. You can also type.",
    };
  }
  if (/dismissed/i.test(message)) {
    return { title: "The microphone was not allowed", text: "Try again and choose Allow. You can also type." };
  }
  return {
    title: "The microphone is blocked",
    text: "Allow it for this page, then try again. You can also type.",
    steps: permissionSteps(navigator.userAgent),
  };
}

/**
 * Where this browser hides its microphone switch.
 *
 * @param {string} userAgent
 * @returns {string[]}
 */
export function permissionSteps(userAgent) {
  if (/iPhone|iPad/.test(userAgent)) {
    return [
      "Tap the page menu in the address bar, then Website Settings.",
      "Set Microphone to Allow.",
      "If it is still refused, open Settings, then Apps, then your browser, and switch Microphone on.",
    ];
  }
  if (/Android/.test(userAgent)) {
    return [
      "Tap the icon to the left of the address, then Permissions.",
      "Switch Microphone on.",
      "If there is no such switch, allow the microphone for the browser in your phone's app settings.",
    ];
  }
  if (/Firefox/.test(userAgent)) {
    return ["Click the crossed-out microphone to the left of the address.", "Remove the block next to Microphone."];
  }
  if (/Chrome|Chromium|Edg/.test(userAgent)) {
    return ["Click the icon to the left of the address.", "Switch Microphone on."];
  }
  if (/Safari/.test(userAgent)) {
    return ["In the menu bar, choose Safari, then Settings for This Website.", "Set Microphone to Allow."];
  }
  return ["Open your browser's settings for this page.", "Allow the microphone."];
}

/** @param {CallError} error */
function retryWords({ message, retryAfter }) {
  if (retryAfter === null) return sentence(message);
  return `Try again in ${retryAfter} second${retryAfter === 1 ? "" : "s"}.`;
}

/** @param {string} text */
function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function secureAddress() {
  return `https://${location.host}${location.pathname}`;
}
