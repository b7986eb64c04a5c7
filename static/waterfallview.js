/** How fast a turn was answered: a line that opens to the waterfall of its stages. */

import { waterfall } from "./waterfall.js";
import { answeredWords, stageWords } from "./words.js";

/**
 * @param {import("./waterfall.js").Metrics} metrics
 * @returns {HTMLDetailsElement}
 */
export function waterfallView(metrics) {
  const { bars, total } = waterfall(metrics);
  const details = document.createElement("details");
  details.className = "latency";
  const summary = document.createElement("summary");
  summary.textContent = answeredWords(total, metrics.is_bridged);
  // Names and values: read aloud, it is a list of them. The bars are drawn by the style sheet.
  const list = document.createElement("dl");
  list.className = "waterfall";
  for (const { stage, side, start, length } of bars) {
    const row = rowOf(stageWords(stage), length);
    row.className = `bar ${side}`;
    row.style.setProperty("--start", String(start / total));
    row.style.setProperty("--share", String(length / total));
    list.append(row);
  }
  const sum = rowOf("Total", total);
  sum.className = "total";
  list.append(sum);
  details.append(summary, list);
  return details;
}

/**
 * @param {string} name
 * @param {number} ms
 */
function rowOf(name, ms) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  term.textContent = name;
  const value = document.createElement("dd");
  value.textContent = `${ms}\u00a0ms`;
  row.append(term, value);
  return row;
}
