// The text model's files: fetched once with progress, checked, and kept for the next visits.

import "./site.js";

const PREFIX = "edge-text-model-";

/**
 * The files by name, and whether all are kept for the next visit; `report` is told of the
 * bytes that have come, of how many.
 */
export async function loadTextModel(report) {
  const files = self.SITE.textModel;
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  const cache = await openCache(PREFIX + files.map((file) => file.sha256.slice(0, 12)).join("-"));
  const loaded = {};
  let keeps = cache !== null;
  report(done, total);
  for (const file of files) {
    const url = new URL(file.path, import.meta.url).href;
    const kept = await cache?.match(url);
    let bytes = kept && new Uint8Array(await kept.arrayBuffer());
    if (bytes?.length !== file.bytes) {
      bytes = await fetchFile(url, file, (more) => report(done + more, total));
      // A full disk costs the next visit a download, no more.
      await cache?.put(url, new Response(bytes)).catch(() => (keeps = false));
    }
    done += file.bytes;
    report(done, total);
    loaded[file.path.split("/").pop()] = bytes;
  }
  return { files: loaded, keeps };
}

/** The cache of this model, without those of others; null where the browser gives none. */
async function openCache(name) {
  if (!("caches" in self)) {
    return null;
  }
  const names = await caches.keys();
  const old = names.filter((other) => other.startsWith(PREFIX) && other !== name);
  await Promise.all(old.map((other) => caches.delete(other)));
  return caches.open(name);
}

async function fetchFile(url, file, report) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${file.path}: the server answered ${response.status}`);
  }
  // The size is known beforehand, and no server makes it larger.
  const bytes = new Uint8Array(file.bytes);
  let at = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    if (at + value.length > bytes.length) {
      throw new Error(`${file.path}: more than ${file.bytes} bytes`);
    }
    bytes.set(value, at);
    at += value.length;
    report(at);
  }
  if (at !== bytes.length) {
    throw new Error(`${file.path}: ${at} bytes came, expected ${file.bytes}`);
  }
  // Only secure pages have it; others keep no files either.
  if (self.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== file.sha256) {
      throw new Error(`${file.path}: not the file that belongs to this page`);
    }
  }
  return bytes;
}
