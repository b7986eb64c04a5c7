/** Loads modules of the page into Node, which takes `.js` for an ES module only beside a `package.json` that says so. */

import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const STATIC = fileURLToPath(new URL("../../static", import.meta.url));

/** @param {string} name such as `conversation.js` */
export async function load(name) {
  const directory = await mkdtemp(join(tmpdir(), "voicertc-static-"));
  await cp(STATIC, directory, { recursive: true });
  await writeFile(join(directory, "package.json"), '{"type": "module"}');
  return import(pathToFileURL(join(directory, name)).href);
}
