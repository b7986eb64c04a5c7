/**
 * A browser with one page, until stdin ends: `node browser.mjs chromium|firefox EXECUTABLE URL`.
 *
 * What the page complains of goes to stderr.
 */

import puppeteer from "puppeteer-core";
import { FLAGS } from "../chromium.mjs";

const [kind, executablePath, url] = process.argv.slice(2);

const browser = await puppeteer.launch({
  browser: /** @type {"chrome" | "firefox"} */ (kind === "chromium" ? "chrome" : kind),
  executablePath,
  headless: true,
  args: kind === "chromium" ? [...FLAGS, "--autoplay-policy=no-user-gesture-required"] : [],
  extraPrefsFirefox: {
    "media.autoplay.default": 0, // allowed
    "media.autoplay.blocking_policy": 0,
  },
});
try {
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) console.error(message.text());
  });
  page.on("pageerror", (error) => console.error(String(error)));
  await page.goto(url);
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.on("end", resolve));
} finally {
  await browser.close();
}
