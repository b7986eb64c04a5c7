/**
 * What the server is doing, in one word.
 *
 * A voicertc server says so itself (`voicertc.state`), and then its word counts. Of any other server it is told
 * from the events of OpenAI Realtime.
 *
 * @typedef {import("./conversation.js").ServerEvent} ServerEvent
 * @typedef {"idle" | "connecting" | "initializing" | "listening" | "processing" | "thinking" | "speaking"
 *   | "interrupted" | "reconnecting" | "ending" | "disconnected"} CallState
 */

/** Follows the events of one call. */
export class StateTracker {
  /** @type {CallState | null} the server's own word */
  #stated = null;
  #isReady = false;
  #isUserSpeaking = false;
  #isTurnOpen = false;
  #isAnswering = true; // whether a turn is answered without being asked to
  #isReplying = false;
  #isAudible = false;

  /** @returns {CallState} */
  get state() {
    if (this.#stated) return this.#stated;
    if (!this.#isReady) return "initializing";
    if (this.#isAudible) return "speaking";
    if (this.#isUserSpeaking) return "listening";
    if (this.#isReplying) return "thinking";
    return this.#isTurnOpen ? "processing" : "listening";
  }

  /** Whether a response is being generated: a second one would be refused. */
  get isReplying() {
    return this.#isReplying;
  }

  /** Whether a reply is on its way to the ear. */
  get isAudible() {
    return this.#isAudible;
  }

  /** @param {ServerEvent} event */
  apply(event) {
    // A voicertc server's own word follows at once: until then nothing is claimed.
    this.#isReady ||= event.type !== "session.created";
    switch (event.type) {
      case "voicertc.state":
        this.#stated = event.state;
        break;
      case "input_audio_buffer.speech_started":
        this.#isUserSpeaking = true;
        break;
      case "input_audio_buffer.speech_stopped":
        this.#isUserSpeaking = false;
        break;
      case "input_audio_buffer.committed":
        this.#isTurnOpen = true;
        break;
      case "session.created":
      case "session.updated":
        this.#isAnswering = isAnswering(event.session.audio?.input?.turn_detection);
        break;
      case "conversation.item.input_audio_transcription.completed":
        // Something was said, so something will be answered: until then the turn is not done with.
        this.#isTurnOpen &&= this.#isAnswering && event.transcript !== "";
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#isTurnOpen = false;
        break;
      case "response.created":
        this.#isReplying = true;
        this.#isTurnOpen = false;
        break;
      case "response.done":
        this.#isReplying = false;
        break;
      case "output_audio_buffer.started":
        this.#isAudible = true;
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        this.#isAudible = false;
        break;
    }
  }
}

/** @param {{ create_response?: boolean } | null | undefined} detection `null` is push-to-talk */
function isAnswering(detection) {
  return detection !== null && (detection?.create_response ?? true);
}
