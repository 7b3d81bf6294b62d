// Run by `npm pack` and `npm publish`: completes the package with the licences and the types for
// `require`, and refuses to pack without an engine or with another version than the crates'.

import assert from "node:assert/strict";
import fs from "node:fs";

const here = (name) => new URL(name, import.meta.url);
const text = (name) => fs.readFileSync(here(name), "utf8");

for (const [, name] of text("load.js").matchAll(/new URL\("(.*?)"/g)) {
  const bytes = fs.existsSync(here(name)) ? fs.readFileSync(here(name)) : null;
  assert(bytes && WebAssembly.validate(bytes), `${name}: expected WebAssembly: run make wasm`);
}
const { version } = JSON.parse(text("package.json"));
const [, expected] = /^version = "(.*)"$/m.exec(text("../../Cargo.toml"));
assert.equal(version, expected, `package.json: version ${version}, expected ${expected} as in Cargo.toml`);
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
  fs.copyFileSync(here(`../../${name}`), here(name));
}
fs.copyFileSync(here("index.d.ts"), here("index.d.cts"));
