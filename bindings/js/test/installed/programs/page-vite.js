import wasm from "@unifyweaver/projection/wasm/projection.wasm?url";
import { show } from "./page.js";

show(wasm);
