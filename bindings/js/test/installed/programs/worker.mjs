import wasm from "@unifyweaver/projection/wasm/projection.wasm";
import expected from "./case.json";
import model from "./model.safetensors";
import { check } from "./check.mjs";

export default {
  async test() {
    console.log(await check(new Uint8Array(model), expected, wasm));
  },
};
