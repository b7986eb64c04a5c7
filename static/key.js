/** The key of the server, for as long as this tab lives: a key that is kept longer is a key that is found. */

const NAME = "voicertc-key";

/** @returns {string | null} the key that this tab was given, also before it was reloaded */
export function savedKey() {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null; // the browser keeps nothing for this page
  }
}

/** @param {string | null} key */
export function saveKey(key) {
  try {
    if (key === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, key);
  } catch {
    // Then it is asked for again after a reload.
  }
}
