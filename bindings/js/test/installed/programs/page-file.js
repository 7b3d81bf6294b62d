import wasm from "@unifyweaver/projection/wasm/projection.wasm";
import { show } from "./page.js";

show(wasm);
