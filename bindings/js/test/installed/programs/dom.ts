// Compiled with the DOM's types, never run.

import { load } from "@unifyweaver/projection";

export async function types(bytes: Uint8Array<ArrayBuffer>) {
  const engine = await load({ wasm: new URL("engine.wasm", location.href) });
  await load({ wasm: await fetch("engine.wasm") });
  await load({ wasm: new WebAssembly.Module(bytes) });
  await engine.Model.load(new URL("model.safetensors", location.href));
  // @ts-expect-error
  await engine.Model.load(5);
}
