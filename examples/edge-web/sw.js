// Makes the page work without a network. site.js lists the page's files and their version. The
// browser reads site.js and this file again on each visit; a new version gets a new cache.
// The engine's worker caches the embedding model itself, see embedding-model.js.

importScripts("site.js");

const PREFIX = "edge-page-";
const CACHE = PREFIX + self.SITE.version;
// The page says which of the two builds of the engine this device runs; the other is not cached.
const OTHER = {
  "?simd": "engine/wasm/projection-embedder-scalar.wasm",
  "?scalar": "engine/wasm/projection-embedder.wasm",
}[self.location.search];

self.addEventListener("install", (event) => {
  const load = async () => {
    const cache = await caches.open(CACHE);
    // Bypasses the browser's own cache, which may hold an older version.
    const files = self.SITE.files.filter((path) => path !== OTHER);
    await cache.addAll(files.map((path) => new Request(path, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(load());
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) {
    return;
  }
  const answer = async () => {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    return kept ?? fetch(request);
  };
  event.respondWith(answer());
});
