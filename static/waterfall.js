/**
 * Where the time of an answered turn went, as the rows of a waterfall: no DOM.
 *
 *     Silence      ███████████                       500 ms
 *     Recognition             ███                    150 ms
 *     First words                ████                200 ms
 *     To the ear                     █                61 ms
 *
 * @typedef {object} Metrics the event `voicertc.metrics`
 * @property {string} item_id                  the user's
 * @property {Record<string, number>} stages   milliseconds by name, in the order in which they follow one another
 * @property {boolean} is_bridged              whether a filler was heard before the answer
 *
 * @typedef {object} Bar
 * @property {string} stage    its name on the wire
 * @property {Side} side
 * @property {number} start    whole milliseconds from the end of speech
 * @property {number} length   whole milliseconds, at least 1
 *
 * @typedef {"you" | "agent" | "line"} Side whose time it was: hearing you, the agent's answer, or the way to the ear
 */

/** @type {Record<string, Side>} */
const SIDES = { silence_ms: "you", recognition_ms: "you", playout_ms: "line", heard_ms: "line" };

/**
 * Bars that follow one another without a gap, and what they add up to. Stages that took no time have none.
 *
 * It is the ends that are rounded, not the lengths: else what is shown would not always add up.
 *
 * @param {Pick<Metrics, "stages">} metrics
 * @returns {{ bars: Bar[], total: number }} `total`: whole milliseconds
 */
export function waterfall({ stages }) {
  /** @type {Bar[]} */
  const bars = [];
  let exact = 0;
  let start = 0;
  for (const [stage, ms] of Object.entries(stages)) {
    exact += ms;
    const length = Math.round(exact) - start;
    if (length > 0) bars.push({ stage, side: SIDES[stage] ?? "agent", start, length });
    start += length;
  }
  return { bars, total: start };
}
