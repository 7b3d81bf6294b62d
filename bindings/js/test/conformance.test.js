// The conformance vectors, with and without SIMD.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { load } from "../node.js";
import { conformance, dumped, exact, idRows, lines, npy } from "./helpers.mjs";

const TOLERANCE = 1e-5;

function cases() {
  const list = (folder) =>
    lines(conformance, `${folder}.txt`).map((line) => {
      const columns = line.split(" ");
      const name = columns[0];
      const [answers, k, searches] = columns.slice(9, 12);
      return { name, folder: path.join(conformance, folder, name), answers: +answers, k: +k, searches };
    });
  return [...list("cases"), ...list("kinds")];
}

function close(what, found, expected, scale) {
  assert.equal(found.length, expected.length, what);
  for (let i = 0; i < found.length; i++) {
    const error = Math.abs(found[i] - expected[i]);
    assert.ok(error <= TOLERANCE * scale, `${what}[${i}]: ${found[i]}, expected ${expected[i]}`);
  }
}

for (const simd of [true, false]) {
  test(`projections, weights and hits ${simd ? "with" : "without"} SIMD`, async () => {
    const engine = await load({ simd });
    let searched = 0;
    const all = cases();
    assert.ok(all.length > 75, `only ${all.length} cases`);
    for (const { name, folder, answers, k, searches } of all) {
      const model = engine.Model.fromBytes(exact(dumped, "models", `${name}.safetensors`));
      const queries = npy(folder, "queries.npy");
      const expected = npy(folder, "projected.npy");
      const heads = model.headIds.length;
      const weights = heads > 0 ? npy(folder, "weights.npy") : { row: () => [] };
      assert.deepEqual([...model.headIds], heads > 0 ? idRows(folder, "head_ids.txt").flat() : []);
      assert.deepEqual([model.inputDim, model.outputDim], [queries.columns, expected.columns]);
      const flat = Float32Array.from(queries.values);
      const batch = model.projectBatch(flat);
      const check = (what, row, projected, found) => {
        const scale = Math.max(...expected.row(row).map(Math.abs));
        close(`${name} row ${row} ${what}projected`, projected, expected.row(row), scale);
        close(`${name} row ${row} ${what}weights`, found, weights.row(row), 1);
      };
      const projected = [];
      for (let row = 0; row < queries.rows; row++) {
        const query = flat.subarray(row * model.inputDim, (row + 1) * model.inputDim);
        const single = model.project(query);
        projected.push(single.projected);
        check("", row, single.projected, single.weights);
        const part = (values, width) => values.subarray(row * width, (row + 1) * width);
        check("batch ", row, part(batch.projected, model.outputDim), part(batch.weights, heads));
      }
      const search = (kind, queriesOf) => {
        const ids = idRows(folder, "answer_ids.txt").flat();
        const index = engine.Index.fromVectors(ids, Float32Array.from(npy(folder, "answers.npy").values));
        assert.equal(index.length, answers);
        const [hits, scores] = [idRows(folder, `${kind}_ids.txt`), npy(folder, `${kind}_scores.npy`)];
        const rows = Array.from({ length: queries.rows }, (_, row) => queriesOf(row));
        const batch = index.searchBatch(Float32Array.from(rows.flatMap((row) => [...row])), k);
        for (let row = 0; row < queries.rows; row++) {
          for (const found of [index.search(rows[row], k), batch[row]]) {
            assert.deepEqual(found.map((hit) => hit.answerId), hits[row], `${name} ${kind} row ${row}`);
            close(`${name} ${kind} row ${row}`, found.map((hit) => hit.score), scores.row(row), 1);
          }
          searched++;
        }
        index.free();
      };
      if (answers > 0 && fs.existsSync(path.join(folder, "answers.npy"))) {
        if (searches !== "none") {
          search("projected", (row) => projected[row]);
        }
        if (searches === "both") {
          search("plain", (row) => flat.subarray(row * model.inputDim, (row + 1) * model.inputDim));
        }
      }
      model.free();
    }
    assert.ok(searched > 500, `only ${searched} searches`);
  });
}

test("the transformer answers as torch does", async () => {
  for (const simd of [true, false]) {
    const { Model } = await load({ simd });
    const model = Model.fromBytes(exact(dumped, "models", "transformer.safetensors"));
    const queries = npy(conformance, "transformer", "queries.npy");
    const expected = npy(conformance, "transformer", "projected.npy");
    const batch = model.projectBatch(Float32Array.from(queries.values)).projected;
    for (let row = 0; row < queries.rows; row++) {
      const scale = Math.max(...expected.row(row).map(Math.abs));
      const { projected, weights } = model.project(Float32Array.from(queries.row(row)));
      close(`row ${row}`, projected, expected.row(row), scale);
      assert.equal(weights.length, 0);
      const width = model.outputDim;
      close(`batch row ${row}`, batch.subarray(row * width, (row + 1) * width), expected.row(row), scale);
    }
  }
});
