/**
 * What has been said in a call, read from the server's events alone: no DOM, no network, no clock.
 *
 * The items of OpenAI Realtime become entries, in the order that the server gives them. The user's entry is
 * there as soon as speech is noticed and is rewritten until its transcript is final; the agent's grows as it
 * is spoken and is shortened to what was heard when the user takes the floor.
 *
 * @typedef {object} Entry
 * @property {string} id          the item's id
 * @property {"user" | "assistant"} role
 * @property {string} text        what was said; of a reply that was cut, only what was heard
 * @property {string} unheard     of a reply that was cut: the words after `text`, if they had been written
 * @property {boolean} isFinal    whether `text` will not change any more, but for being cut
 * @property {boolean} isCut      whether the user took the floor before the reply was over
 * @property {boolean} isLost     whether the user's words could not be recognized
 * @property {boolean} isTentative whether this may turn out to be no turn at all
 *
 * @typedef {{ type: string, [field: string]: any }} ServerEvent an event of the wire, as parsed from JSON
 */

/** The entries of one call. */
export class Conversation {
  /** @type {Entry[]} */
  #entries = [];

  /** @returns {readonly Readonly<Entry>[]} in the order of the conversation */
  get entries() {
    return this.#entries;
  }

  /**
   * Take one event of the server.
   *
   * @param {ServerEvent} event
   * @returns {boolean} whether an entry changed
   */
  apply(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
      case "input_audio_buffer.committed":
        return this.#change(this.#entry(event.item_id, "user"), { isTentative: false });
      case "voicertc.transcript.interim":
        return this.#interim(event.item_id, event.text);
      case "voicertc.state":
        return event.state === "speaking" && this.#dropTentative();
      case "conversation.item.input_audio_transcription.delta":
        return this.#hear(event.item_id, (said) => said + event.delta, false);
      case "conversation.item.input_audio_transcription.completed":
        return this.#hear(event.item_id, () => event.transcript, true);
      case "conversation.item.input_audio_transcription.failed":
        return this.#change(this.#find(event.item_id), { isFinal: true, isLost: true });
      case "conversation.item.added":
      case "conversation.item.done":
      case "conversation.item.retrieved":
        return this.#item(event);
      case "conversation.item.deleted":
        return this.#remove(event.item_id);
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return this.#grow(event.item_id, event.delta);
      case "conversation.item.truncated":
        return this.#change(this.#find(event.item_id), { isCut: true, isFinal: true });
      default:
        return false;
    }
  }

  /**
   * Add what the user has typed before the server confirms it.
   *
   * @param {string} id
   * @param {string} text
   */
  addTyped(id, text) {
    this.#change(this.#entry(id, "user"), { text, isFinal: true, isTentative: false });
  }

  /**
   * @param {string} id
   * @param {string} text
   */
  #interim(id, text) {
    const known = this.#find(id);
    if (known?.isFinal) return false;
    return this.#change(known ?? this.#entry(id, "user"), { text });
  }

  /**
   * @param {string} id
   * @param {(said: string) => string} words
   * @param {boolean} isFinal
   */
  #hear(id, words, isFinal) {
    const entry = this.#entry(id, "user");
    const text = words(entry.text).trimStart();
    return this.#change(entry, { text, isFinal, isLost: isFinal && text === "", isTentative: false });
  }

  /** @param {ServerEvent} event one of the three that carry a whole item */
  #item({ type, item, previous_item_id }) {
    if (item.type !== "message" || !["user", "assistant"].includes(item.role)) return false;
    const entry = this.#entry(item.id, item.role, previous_item_id);
    const text = wordsOf(item);
    if (item.role === "user") {
      return this.#change(entry, { isTentative: false, ...(text && { text, isFinal: true }) });
    }
    const isWhole = type !== "conversation.item.added" && item.status !== "in_progress";
    const isCut = entry.isCut || (isWhole && item.status === "incomplete");
    if (isWhole && isCut && text !== null) return this.#cut(entry, text);
    return this.#change(entry, { isCut, isFinal: entry.isFinal || isWhole, ...(text && !isCut && { text }) });
  }

  /**
   * @param {string} id
   * @param {string} delta
   */
  #grow(id, delta) {
    const entry = this.#entry(id, "assistant");
    // What was still under way when the reply was cut has not been heard.
    return !entry.isCut && this.#change(entry, { text: entry.text + delta });
  }

  /**
   * @param {Entry} entry
   * @param {string} heard
   */
  #cut(entry, heard) {
    const written = entry.text + entry.unheard;
    const unheard = written.startsWith(heard) ? written.slice(heard.length) : "";
    return this.#change(entry, { text: heard, unheard, isCut: true, isFinal: true });
  }

  #dropTentative() {
    const certain = this.#entries.filter((entry) => !entry.isTentative);
    const isChanged = certain.length < this.#entries.length;
    this.#entries = certain;
    return isChanged;
  }

  /** @param {string} id */
  #remove(id) {
    const index = this.#entries.findIndex((entry) => entry.id === id);
    if (index >= 0) this.#entries.splice(index, 1);
    return index >= 0;
  }

  /** @param {string} id */
  #find(id) {
    return this.#entries.find((entry) => entry.id === id);
  }

  /**
   * The entry of an item, made if need be.
   *
   * @param {string} id
   * @param {"user" | "assistant"} role
   * @param {string | null} [previousId] `null`: it is the first; `undefined`: not said
   * @returns {Entry}
   */
  #entry(id, role, previousId) {
    const known = this.#find(id);
    if (known) return known;
    /** @type {Entry} */
    const entry = {
      id, role, text: "", unheard: "", isFinal: false, isCut: false, isLost: false, isTentative: role === "user",
    };
    const before = this.#entries.findIndex((other) => other.id === previousId);
    // Function calls and system messages are items without an entry: after one of those, the end is the place.
    const place = previousId === null ? 0 : before < 0 ? this.#entries.length : before + 1;
    this.#entries.splice(place, 0, entry);
    return entry;
  }

  /**
   * @param {Entry | undefined} entry
   * @param {Partial<Entry>} changes
   */
  #change(entry, changes) {
    if (entry) Object.assign(entry, changes);
    return entry !== undefined;
  }
}

/**
 * The words of an item, or `null` while it has none: a transcript to come, or one taken away, is `null` too.
 *
 * @param {{ content?: { text?: string | null, transcript?: string | null }[] }} item
 * @returns {string | null}
 */
function wordsOf({ content = [] }) {
  const words = content.map((part) => part.transcript ?? part.text).filter((text) => typeof text === "string");
  return words.length > 0 ? words.join("") : null;
}
