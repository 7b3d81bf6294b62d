// The entry of Node, Bun and Deno, where addresses may be those of files.

import { readFile } from "node:fs/promises";

import { loader } from "./load.js";

export { EngineError } from "./engine.js";
export { hasSimd } from "./load.js";
export const load = loader((address) => {
  if (/^(https?|data|blob):/i.test(address)) {
    return fetch(address);
  }
  return readFile(/^file:/i.test(address) ? new URL(address) : address);
});
