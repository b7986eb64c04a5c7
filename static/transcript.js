/** The conversation on the page: a list whose rows follow the entries of a call. */

import { waterfallView } from "./waterfallview.js";

/**
 * @typedef {import("./conversation.js").Entry} Entry
 * @typedef {import("./waterfall.js").Metrics} Metrics
 */

const SPEAKERS = { user: "You", assistant: "Agent" };
const MAX_UNHEARD = 80; // characters: enough to see where it was going
const NEAR_THE_END = 80; // pixels

/** Owns the rows of one `<ol>`; those of earlier calls stay above a line. */
export class TranscriptView {
  #list;
  /** @type {Map<string, Row>} the rows of the present call */
  #rows = new Map();

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  get isEmpty() {
    return this.#list.childElementCount === 0;
  }

  /**
   * Leave what is there, and begin a new call below it.
   *
   * @param {string} title of the line between
   */
  divide(title) {
    this.#rows.clear();
    if (this.isEmpty) return;
    const line = document.createElement("li");
    line.className = "divider";
    line.textContent = title;
    this.#list.append(line);
  }

  /** @param {readonly Readonly<Entry>[]} entries */
  show(entries) {
    const wasAtEnd = this.#toEnd < NEAR_THE_END;
    this.#keepOnly(new Set(entries.map((entry) => entry.id)));
    /** @type {Element | null} */
    let next = null;
    for (const entry of [...entries].reverse()) {
      const row = this.#row(entry);
      row.show(entry);
      if (row.element.nextElementSibling !== next || !row.element.parentElement) {
        this.#list.insertBefore(row.element, next);
      }
      next = row.element;
    }
    this.#list.tabIndex = this.isEmpty ? -1 : 0; // a keyboard must be able to scroll it
    if (wasAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  /**
   * Say under a turn of the user how fast it was answered.
   *
   * @param {Metrics} metrics
   */
  measure(metrics) {
    const row = this.#rows.get(metrics.item_id);
    if (!row) return; // deleted since
    const wasAtEnd = this.#toEnd < NEAR_THE_END;
    const details = row.measure(metrics);
    details.addEventListener("toggle", () => this.#makeRoom(details));
    if (wasAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  /**
   * Who follows the conversation goes on following it, and what was opened is in view.
   *
   * @param {HTMLDetailsElement} details
   */
  #makeRoom(details) {
    if (!details.open) return;
    const [summary, opened] = /** @type {HTMLCollectionOf<HTMLElement>} */ (details.children);
    if (this.#toEnd - opened.offsetHeight < NEAR_THE_END) this.#list.scrollTop = this.#list.scrollHeight;
    // Of what is too long for the view, its beginning.
    for (const part of [details, summary]) part.scrollIntoView({ block: "nearest" });
  }

  /** Pixels below what is in view. */
  get #toEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight;
  }

  /** @param {Set<string>} ids */
  #keepOnly(ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
  }

  /** @param {Entry} entry */
  #row({ id, role }) {
    const row = this.#rows.get(id) ?? new Row(role);
    this.#rows.set(id, row);
    return row;
  }
}

/** One entry: who, what was said, what was not heard, a note, and how fast it was answered. */
class Row {
  element = document.createElement("li");
  #said = document.createElement("span");
  #unheard = document.createElement("del");
  #note = document.createElement("small");
  /** @type {HTMLDetailsElement | null} */
  #latency = null;

  /** @param {"user" | "assistant"} role */
  constructor(role) {
    this.element.className = role;
    const speaker = document.createElement("span");
    speaker.className = "unseen";
    speaker.textContent = `${SPEAKERS[role]}: `;
    const words = document.createElement("p");
    this.#said.className = "said";
    this.#unheard.className = "unheard";
    words.append(speaker, this.#said, this.#unheard);
    this.element.append(words, this.#note);
  }

  /** @param {Entry} entry */
  show(entry) {
    this.#say(entry.text);
    this.#unheard.textContent = shortened(entry.unheard);
    this.#note.textContent = noteOn(entry);
    this.element.classList.toggle("open", !entry.isFinal);
    this.element.classList.toggle("cut", entry.isCut);
    this.element.classList.toggle("lost", entry.isLost);
  }

  /** @param {Metrics} metrics */
  measure(metrics) {
    this.#latency?.remove();
    this.#latency = waterfallView(metrics);
    this.element.append(this.#latency);
    return this.#latency;
  }

  /** @param {string} text */
  #say(text) {
    const shown = this.#said.textContent ?? "";
    if (text === shown) return;
    if (shown === "" || !text.startsWith(shown)) {
      this.#said.textContent = text;
      return;
    }
    // Only what is new fades in.
    const fresh = document.createElement("span");
    fresh.className = "fresh";
    fresh.textContent = text.slice(shown.length);
    this.#said.append(fresh);
  }
}

/** @param {Entry} entry */
function noteOn({ role, isCut, isLost }) {
  if (isLost) return "Not understood";
  return role === "assistant" && isCut ? "Interrupted" : "";
}

/** @param {string} text */
function shortened(text) {
  if (text.length <= MAX_UNHEARD) return text;
  return `${text.slice(0, text.lastIndexOf(" ", MAX_UNHEARD))} …`;
}
