/**
 * When a connection is so poor that who talks should know it.
 *
 * @typedef {import("./conversation.js").ServerEvent} ServerEvent
 * @typedef {"inbound" | "outbound"} Direction as the server sees it: `inbound` is what it hears
 */

/** Under it most people are dissatisfied (ITU-T G.109). */
const POOR_MOS = 3.1;
/** From it on few are, and a relapse is news again. */
const FAIR_MOS = 3.6;
/** The server measures once a second. */
const SECONDS_POOR = 3;

/** Follows the `voicertc.link` events of one call. */
export class LinkTracker {
  /** @type {Record<Direction, number>} for how many seconds in a row it has been poor */
  #poor = { inbound: 0, outbound: 0 };
  #isTold = false;

  /**
   * @param {ServerEvent} event
   * @returns {Direction | null} the direction that has become poor, once until both are fair again
   */
  apply(event) {
    if (event.type !== "voicertc.link") return null;
    /** @type {Direction[]} */
    const directions = ["inbound", "outbound"];
    for (const direction of directions) {
      // Nothing is known of one that is silent: it is as it was.
      const mos = event[direction].mos ?? POOR_MOS;
      if (mos < POOR_MOS) this.#poor[direction] += 1;
      else if (mos > POOR_MOS) this.#poor[direction] = 0;
    }
    const worst = directions.find((direction) => this.#poor[direction] >= SECONDS_POOR) ?? null;
    if (this.#isTold) {
      this.#isTold = !directions.every((direction) => (event[direction].mos ?? FAIR_MOS) >= FAIR_MOS);
      return null;
    }
    this.#isTold = worst !== null;
    return worst;
  }
}
