import { check } from "./check.mjs";

/** Shows the outcome as the page's title. */
export async function show(wasm) {
  try {
    const expected = await (await fetch("/case.json")).json();
    document.title = await check("/model.safetensors", expected, wasm);
  } catch (error) {
    document.title = `failed: ${error.stack}`;
  }
}
