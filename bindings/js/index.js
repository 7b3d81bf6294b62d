// The entry of browsers, of workers and of bundlers for them.

import { loader } from "./load.js";

export { EngineError } from "./engine.js";
export { hasSimd } from "./load.js";
export const load = loader((address) => fetch(address));
