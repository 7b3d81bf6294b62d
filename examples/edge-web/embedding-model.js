// The files of the embedding model: fetched once with progress, checked, and cached for later
// visits.

import "./site.js";

const PREFIX = "edge-embedding-model-";

/**
 * Returns the files by name, and whether all of them are cached for the next visit. Calls `report`
 * with the number of bytes received and the total.
 */
export async function loadEmbeddingModel(report) {
  const files = self.SITE.embeddingModel;
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
      // If the disk is full, the next visit downloads the file again.
      await cache?.put(url, new Response(bytes)).catch(() => (keeps = false));
    }
    done += file.bytes;
    report(done, total);
    loaded[file.path.split("/").pop()] = bytes;
  }
  return { files: loaded, keeps };
}

/** Opens the cache of this model and deletes those of others; null if the browser has no caches. */
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
  // The size is known beforehand; a server that sends more is an error.
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
    throw new Error(`${file.path}: ${at} bytes received, expected ${file.bytes}`);
  }
  // Only secure pages have `subtle`; other pages cannot cache files either.
  if (self.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== file.sha256) {
      throw new Error(`${file.path}: not the file that this page expects`);
    }
  }
  return bytes;
}
