/** The rows of an answered turn's waterfall, and what is said of it. */

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { load } from "./modules.mjs";

const { waterfall } = await load("waterfall.js");
const { answeredWords, stageWords } = await load("words.js");

const STAGES = {
  silence_ms: 500,
  recognition_ms: 150,
  first_text_ms: 200,
  first_clause_ms: 40,
  first_audio_ms: 110,
  playout_ms: 12.5,
  heard_ms: 61,
};

const sum = (bars) => bars.reduce((total, { length }) => total + length, 0);

test("stages follow one another", () => {
  deepEqual(waterfall({ stages: STAGES }), {
    bars: [
      { stage: "silence_ms", side: "you", start: 0, length: 500 },
      { stage: "recognition_ms", side: "you", start: 500, length: 150 },
      { stage: "first_text_ms", side: "agent", start: 650, length: 200 },
      { stage: "first_clause_ms", side: "agent", start: 850, length: 40 },
      { stage: "first_audio_ms", side: "agent", start: 890, length: 110 },
      { stage: "playout_ms", side: "line", start: 1000, length: 13 },
      { stage: "heard_ms", side: "line", start: 1013, length: 61 },
    ],
    total: 1074,
  });
});

test("a stage that took no time has no bar, and leaves no gap", () => {
  const stages = { ...STAGES, recognition_ms: 0, first_clause_ms: 0.3, heard_ms: 0 };
  deepEqual(
    waterfall({ stages }).bars.map(({ stage, start, length }) => [stage, start, length]),
    [
      ["silence_ms", 0, 500],
      ["first_text_ms", 500, 200],
      ["first_audio_ms", 700, 110],
      ["playout_ms", 810, 13],
    ],
  );
});

test("what is shown adds up, however the stages are rounded", () => {
  for (const part of [0.1, 0.4, 0.5, 0.6, 0.9]) {
    const stages = Object.fromEntries(Object.keys(STAGES).map((stage, index) => [stage, 10 * index + part]));
    const { bars, total } = waterfall({ stages });
    equal(sum(bars), total);
    equal(total, Math.round(210 + 7 * part));
    const ends = bars.map(({ start, length }) => start + length);
    deepEqual(bars.slice(1).map(({ start }) => start), ends.slice(0, -1));
  }
});

test("a turn that took no time has no bars", () => {
  deepEqual(waterfall({ stages: { silence_ms: 0, heard_ms: 0 } }), { bars: [], total: 0 });
});

test("a stage of a newer server is shown by its own name", () => {
  deepEqual(waterfall({ stages: { tool_call_ms: 30 } }).bars, [
    { stage: "tool_call_ms", side: "agent", start: 0, length: 30 },
  ]);
  equal(stageWords("tool_call_ms"), "Tool call");
});

test("every stage has its own words", () => {
  const words = Object.keys(STAGES).map(stageWords);
  deepEqual(words, [
    "Silence", "Recognition", "First words", "First clause", "Voice", "On its way", "To the ear",
  ]);
});

test("the line says how fast it was, and whether something was heard before", () => {
  equal(answeredWords(931, false), "Answered in 0.93\u00a0s");
  equal(answeredWords(12_340, true), "Answered in 12.34\u00a0s, after a filler");
});
