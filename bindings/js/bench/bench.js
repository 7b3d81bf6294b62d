// Times of the engine in Node beside onnxruntime-web, which runs our ONNX export of the same
// model in the same process, one thread each, in turns. Answers are compared first.
//
// usage: node bench.js [--quick]      (after make test-js, which writes the models)

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import * as ort from "onnxruntime-web";

import { load } from "../node.js";
import { dumped, exact, repository } from "../test/helpers.mjs";

const rounds = process.argv.includes("--quick") ? 5 : 25;
const DIM = 384;
const NAME = "d384_18-t0.1";

/** Microseconds a call, by rounds in turns: the median of each. */
async function times(works, calls) {
  const all = works.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, work] of works.entries()) {
      const start = performance.now();
      for (let call = 0; call < calls; call++) {
        const result = work();
        if (result instanceof Promise) {
          await result;
        }
      }
      all[i].push((1000 * (performance.now() - start)) / calls);
    }
  }
  return all.map((values) => values.sort((a, b) => a - b)[rounds >> 1]);
}

const number = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0));

function line(what, goal, named) {
  const parts = named.map(([name, micros]) => `${name} ${number(micros)} µs`);
  console.log(`${what.padEnd(34)} ${parts.join("   ")}${goal ? `   (goal ${goal})` : ""}`);
}

const vector = (seed) => new Float32Array(DIM).map((_, i) => Math.sin(seed + i * i));
const query = vector(1);

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const session = await ort.InferenceSession.create(exact(dumped, "models", `${NAME}.onnx`), {
  executionProviders: ["wasm"],
});
const engines = [await load({ simd: true }), await load({ simd: false })];
const models = engines.map(({ Model }) => Model.fromBytes(exact(dumped, "models", `${NAME}.safetensors`)));

const onnx = async (queries, rows) => {
  const input = new ort.Tensor("float32", queries, [rows, DIM]);
  return (await session.run({ query: input })).projected.data;
};
const same = (a, b) => a.every((value, i) => Math.abs(value - b[i]) < 1e-5);

console.log(`Node ${process.version}, ${process.arch}; medians of ${rounds} rounds in turns`);
const batch = new Float32Array(100 * DIM).map((_, i) => Math.sin(i * 0.7));
for (const [what, queries, rows, calls, goal] of [
  ["18 heads × 384, one query", query, 1, 2000, "5 µs"],
  ["18 heads × 384, 100 queries", batch, 100, 50, ""],
]) {
  const runs = models.map((model) => () =>
    rows === 1 ? model.project(queries) : model.projectBatch(queries));
  const theirs = await onnx(queries, rows);
  runs.forEach((run) => assert.ok(same(run().projected, theirs), "the two answer differently"));
  const [simd, scalar, web] = await times([...runs, () => onnx(queries, rows)], calls);
  line(what, goal, [["SIMD", simd], ["scalar", scalar], ["onnxruntime-web", web]]);
  console.log(`${"".padEnd(34)} onnxruntime-web takes ${(web / simd).toFixed(1)} times as long`);
}

const rows = 2000;
const vectors = new Float32Array(rows * DIM).map((_, i) => Math.sin(i * 1.3));
const indexes = engines.map(({ Index }) => Index.fromVectors([...vectors.slice(0, rows).keys()], vectors));
const scores = indexes.map((index) => index.search(query, 10).map((hit) => hit.score));
assert.ok(same(scores[0], scores[1]));
const [simd, scalar] = await times(indexes.map((index) => () => index.search(query, 10)), 50);
line("search of 2,000 × 384, k = 10", "1000 µs", [["SIMD", simd], ["scalar", scalar]]);

const folder = path.join(repository, "models/all-MiniLM-L6-v2");
const files = ["model.safetensors", "tokenizer.json", "config.json"].map((name) => fs.readFileSync(path.join(folder, name)));
const embedders = [];
for (const simd of [true, false]) {
  const { Embedder } = await load({ simd, embedder: true });
  embedders.push(Embedder.fromBytes(...files, { maxTokens: 256 }));
}
const sentence = "How do I read a CSV file line by line without loading all of it?";
assert.ok(same(embedders[0].embed(sentence), embedders[1].embed(sentence)));
const [fast, slow] = await times(embedders.map((embedder) => () => embedder.embed(sentence)), 2);
line("embedding a sentence, 17 tokens", "60000 µs", [["SIMD", fast], ["scalar", slow]]);
