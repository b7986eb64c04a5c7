/**
 * A real Chromium on a string: reads one command a line on stdin, answers each with one line on stdout.
 *
 *     ["open", {url, wav, microphone, flags, setup, view}]    first: start the browser and load the page
 *     ["click", "#start"]                                      then any of COMMANDS
 *
 * An answer is `{"value": …}` or `{"error": "…"}`. When stdin ends, the browser is closed.
 */

import { createInterface } from "node:readline";
import { withChromium } from "./chromium.mjs";
import { installEars, readPage } from "./ears.mjs";

/**
 * @typedef {object} Scene
 * @property {any} options of `open`
 * @property {import("puppeteer-core").Browser} browser
 * @property {import("puppeteer-core").Page} page the tab that is acted on
 * @property {string[]} console what should not be there: errors, warnings, uncaught exceptions
 * @property {string[]} requests `METHOD path status`
 */

/** @type {Record<string, (scene: Scene, ...values: any[]) => Promise<unknown>>} */
const COMMANDS = {
  click: ({ page }, selector) => page.locator(selector).setTimeout(5_000).click(),
  type: async ({ page }, selector, words) => {
    await page.locator(selector).setTimeout(5_000).fill(words);
    await page.keyboard.press("Enter");
  },
  press: ({ page }, key) => page.keyboard.press(key),
  until: async ({ page }, condition, seconds) => {
    await page.waitForFunction(condition, { timeout: seconds * 1000, polling: 50 });
  },
  evaluate: ({ page }, expression) => page.evaluate(expression),
  page: ({ page }) => page.evaluate(readPage),
  heard: ({ page }) => page.evaluate("ears.heard"),
  faults: async (scene) => scene.console,
  requests: async (scene) => scene.requests,
  screenshot: async ({ page }, path) => {
    await page.screenshot({ path });
  },
  leave: async ({ page }) => {
    await page.goto("about:blank");
  },
  tab: async (scene) => {
    scene.page = await openTab(scene);
  },
};

/** @param {Scene} scene */
async function openTab(scene) {
  const { url, setup, view } = scene.options;
  const page = await scene.browser.newPage();
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) scene.console.push(message.text());
  });
  page.on("pageerror", (error) => scene.console.push(String(error)));
  page.on("response", (response) => {
    const path = new URL(response.url()).pathname;
    scene.requests.push(`${response.request().method()} ${path} ${response.status()}`);
  });
  await page.setViewport(view?.size ?? { width: 1100, height: 760 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: view?.scheme ?? "light" },
    { name: "prefers-reduced-motion", value: view?.motion ?? "no-preference" },
  ]);
  await page.evaluateOnNewDocument(installEars);
  if (setup) await page.evaluateOnNewDocument(setup);
  await page.goto(url);
  return page;
}

/** @param {unknown} answer */
function reply(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [, options] = JSON.parse((await lines.next()).value);

await withChromium(options, async (browser) => {
  /** @type {any} */
  const scene = { options, browser, console: [], requests: [] };
  scene.page = await openTab(scene);
  reply({ value: null });
  for await (const line of lines) {
    const [name, ...values] = JSON.parse(line);
    try {
      reply({ value: (await COMMANDS[name](scene, ...values)) ?? null });
    } catch (error) {
      reply({ error: `${name} ${JSON.stringify(values)}: ${/** @type {Error} */ (error).message}` });
    }
  }
});
