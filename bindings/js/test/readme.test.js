// The programs that the READMEs show, as a reader would run them who copies them. They read the
// files that the main README's commands make, which scripts/test_js.sh makes too.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { repository } from "./helpers.mjs";

for (const readme of ["README.md", "bindings/js/README.md"]) {
  test(`the program in ${readme}`, () => {
    const text = fs.readFileSync(path.join(repository, readme), "utf8");
    const programs = [...text.matchAll(/^```js\n(.*?)^```$/gms)].map((block) => block[1]);
    assert.equal(programs.length, 1);
    const run = spawnSync(process.execPath, ["--input-type=module", "-"],
      { cwd: repository, input: programs[0], encoding: "utf8" });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /\S/);
  });
}
