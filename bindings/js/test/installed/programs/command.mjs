import { readFileSync } from "node:fs";
import { check } from "./check.mjs";

console.log(await check("model.safetensors", JSON.parse(readFileSync("case.json", "utf8"))));
