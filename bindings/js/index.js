// Loads the engine: chooses and fetches a build. The classes are in engine.js.

import { bind } from "./engine.js";

// A module with a function that counts the bits of each byte in a 128-bit vector.
const SIMD_MODULE = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // a type: () -> v128
  0x03, 0x02, 0x01, 0x00, // a function of this type
  0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b, // splat, popcnt
]);

export function hasSimd() {
  return WebAssembly.validate(SIMD_MODULE);
}

// Written out one by one so that bundlers find the files.
const FILES = {
  simd: () => new URL("./wasm/projection.wasm", import.meta.url),
  scalar: () => new URL("./wasm/projection-scalar.wasm", import.meta.url),
  simdEmbedder: () => new URL("./wasm/projection-embedder.wasm", import.meta.url),
  scalarEmbedder: () => new URL("./wasm/projection-embedder-scalar.wasm", import.meta.url),
};

export async function load(options = {}) {
  let { simd, wasm, embedder = false } = options;
  if (wasm === undefined) {
    simd ??= hasSimd();
    wasm = FILES[(simd ? "simd" : "scalar") + (embedder ? "Embedder" : "")]();
  }
  const module = await compiled(wasm);
  // The engine imports nothing from its host: no clock, no random numbers, no console.
  const instance = await WebAssembly.instantiate(module, {});
  return bind(instance, () => new WebAssembly.Instance(module, {}), simd);
}

async function compiled(source) {
  if (typeof source === "string" || source instanceof URL) {
    source = await fetched(source);
  }
  if (typeof Response !== "undefined" && source instanceof Response) {
    if (!source.ok) {
      throw failure("IO", `${source.url}: status ${source.status}`);
    }
    source = await source.arrayBuffer();
  }
  return source instanceof WebAssembly.Module ? source : WebAssembly.compile(source);
}

async function fetched(address) {
  const url = address instanceof URL ? address : new URL(address, import.meta.url);
  if (url.protocol === "file:" && typeof process !== "undefined" && process.versions?.node) {
    const { readFile } = await import("node:fs/promises");
    return readFile(url);
  }
  return fetch(url);
}

function failure(code, message) {
  return Object.assign(new Error(message), { code });
}
