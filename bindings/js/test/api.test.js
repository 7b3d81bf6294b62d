// Arguments and lifetimes.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { EngineError, hasSimd, load } from "../node.js";
import { dumped, exact, repository } from "./helpers.mjs";

const refused = (code, words) => (error) => {
  assert.ok(error instanceof EngineError);
  assert.equal(error.name, "EngineError");
  assert.equal(error.code, code, error.stack);
  assert.match(error.message, words);
  return true;
};

const engine = await load();
const model = engine.Model.fromBytes(exact(dumped, "models", "d384_18-t0.1.safetensors"));
const query = new Float32Array(384).map((_, i) => Math.sin(i));

test("a model says what it is", () => {
  assert.equal(engine.simd, hasSimd());
  assert.equal(model.kind, "multi_head");
  assert.deepEqual([model.inputDim, model.outputDim, model.headIds.length], [384, 384, 18]);
  assert.equal(model.temperature, 0.1);
  const linear = engine.Model.fromBytes(exact(dumped, "models", "linear_d8.safetensors"));
  assert.ok(Number.isNaN(linear.temperature));
  assert.deepEqual(linear.headIds, []);
});

test("errors have the engine's messages and a code", () => {
  assert.throws(() => model.project(query.subarray(1)), refused("DIMENSION_MISMATCH", /383.*384/));
  assert.throws(() => model.project(new Float32Array(384)), refused("ZERO_VECTOR", /zero/));
  const bad = query.slice();
  bad[7] = NaN;
  assert.throws(() => model.project(bad), refused("NOT_FINITE", /index 7/));
  const batch = new Float32Array(3 * 384).fill(1);
  batch[2 * 384 + 5] = Infinity;
  assert.throws(() => model.projectBatch(batch), refused("NOT_FINITE", /row 2/));
  assert.throws(() => model.projectBatch(batch.subarray(1)), refused("DIMENSION_MISMATCH", /1151.*384/));
  assert.throws(() => model.project([1, 2]), refused("INVALID_ARGUMENT", /Float32Array.*Array/));
  assert.throws(() => model.project(), refused("INVALID_ARGUMENT", /query/));
  assert.throws(() => model.explain(query, -1), refused("INVALID_ARGUMENT", /k: .*-1/));
  assert.throws(() => engine.Model.fromBytes("text"), refused("INVALID_ARGUMENT", /Uint8Array/));
  assert.throws(() => engine.Model.fromBytes(new Uint8Array(0)), refused("INVALID_MODEL", /8/));
  assert.throws(() => new engine.Model(), refused("INVALID_ARGUMENT", /fromBytes/));
  assert.throws(() => engine.Embedder.fromBytes(), refused("INVALID_ARGUMENT", /embedder: true/));
});

test("explanations agree with the projection", () => {
  const { weights } = model.project(query);
  const { heads, questions } = model.explain(query);
  assert.deepEqual(questions, []);
  assert.equal(heads.length, 18);
  for (const { id, weight } of heads) {
    assert.equal(weight, weights[model.headIds.indexOf(id)]);
  }
  assert.ok(heads.every((head, i) => i === 0 || heads[i - 1].weight >= head.weight));
  // Weights are a softmax of the similarities.
  const [first, last] = [heads[0], heads[17]];
  const expected = Math.exp((first.similarity - last.similarity) / model.temperature);
  assert.ok(Math.abs(first.weight / last.weight / expected - 1) < 1e-4);

  const residual = engine.Model.fromBytes(exact(dumped, "models", "residual_d384.safetensors"));
  const near = residual.explain(query, 3).questions;
  assert.equal(near.length, 3);
  assert.ok(near[0].weight >= near[1].weight && near[1].weight >= near[2].weight);
  const routed = residual.project(query).weights;
  const all = residual.explain(query, 1000).questions;
  for (const [place, id] of residual.headIds.entries()) {
    const sum = all.reduce((sum, { headId, weight }) => sum + (headId === id ? weight : 0), 0);
    assert.ok(Math.abs(sum - routed[place]) < 1e-5, `head ${id}: ${sum}, ${routed[place]}`);
  }
});

test("an index finds what sorting finds", () => {
  const ids = [5, 9007199254740993n, -3, 7];
  const vectors = new Float32Array(4 * 384).map((_, i) => Math.cos(i * i));
  const index = engine.Index.fromVectors(ids, vectors);
  assert.deepEqual([index.length, index.dim], [4, 384]);
  const cosine = (row) => {
    const [a, b] = [query, vectors.subarray(384 * row, 384 * (row + 1))];
    const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const expected = ids.map((id, row) => [id, cosine(row)]).sort((a, b) => b[1] - a[1]);
  const found = index.search(query, 100);
  assert.deepEqual(found.map((hit) => hit.answerId), expected.map(([id]) => id));
  found.forEach((hit, i) => assert.ok(Math.abs(hit.score - expected[i][1]) < 1e-6));
  assert.deepEqual(index.search(query, 0), []);
  assert.throws(() => index.search(query, 1.5), refused("INVALID_ARGUMENT", /k/));
  const make = engine.Index.fromVectors;
  assert.throws(() => make([1, 1], vectors), refused("INVALID_ARGUMENT", /two vectors with the id 1/));
  assert.throws(() => make([1, 0.5], vectors), refused("INVALID_ARGUMENT", /ids\[1\]/));
  assert.throws(() => make([1, 2, 3, 4, 5], vectors), refused("DIMENSION_MISMATCH", /1536/));
  assert.throws(() => make([1], new Float32Array(3)), refused("ZERO_VECTOR", /answer 1/));
  index.free();
  assert.throws(() => index.search(query, 1), refused("INVALID_ARGUMENT", /freed/));
});

test("an index is searched in batches and among some answers, and changes", () => {
  const count = 300;
  const ids = Array.from({ length: count }, (_, i) => 3 * i);
  const values = (n, seed) => new Float32Array(n * 8).map((_, i) => Math.sin(seed + i * i));
  const [vectors, queries] = [values(count, 0), values(5, 1)];
  const row = (rows, at) => rows.subarray(8 * at, 8 * (at + 1));
  const index = engine.Index.fromVectors(ids, vectors);
  const sorted = (query, keep = () => true) => index.search(query, count).filter((hit) => keep(hit.answerId));
  for (const allowed of [undefined, [], [3, 3n, 7, 600], ids.slice(100)]) {
    const keep = (id) => allowed === undefined || allowed.map(Number).includes(id);
    const batch = index.searchBatch(queries, 10, { allowed });
    assert.equal(batch.length, 5);
    for (const [at, hits] of batch.entries()) {
      const expected = sorted(row(queries, at), keep).slice(0, 10);
      assert.deepEqual(index.search(row(queries, at), 10, { allowed }), expected);
      assert.deepEqual(hits.map((hit) => hit.answerId), expected.map((hit) => hit.answerId));
      hits.forEach(({ score }, i) => assert.ok(Math.abs(score - expected[i].score) < 1e-6));
    }
  }
  assert.deepEqual(index.searchBatch(new Float32Array(), 10), []);

  const query = row(queries, 0);
  index.add([-1, 9007199254740993n], queries.slice(0, 16));
  assert.equal(index.length, count + 2);
  assert.equal(index.search(query, 1)[0].answerId, -1);
  index.replace([-1, 1], Float32Array.from([...row(queries, 3), ...query]));
  assert.deepEqual([index.length, index.search(query, 1)[0].answerId], [count + 3, 1]);
  assert.equal(index.remove([1, 1, 2, 9007199254740993n]), 2);
  assert.deepEqual([index.length, index.remove([])], [count + 1, 0]);
  index.add([], new Float32Array());
  assert.deepEqual(index.search(query, count), sorted(query));
  assert.ok(sorted(query).every(({ answerId }) => answerId === -1 || ids.includes(answerId)));

  const before = index.search(query, count);
  for (const [change, code, words] of [
    [() => index.add([5, 3], queries.subarray(0, 16)), "INVALID_ARGUMENT", /two vectors with the id 3/],
    [() => index.add([5, 5], queries.subarray(0, 16)), "INVALID_ARGUMENT", /two vectors with the id 5/],
    [() => index.add([5], queries), "DIMENSION_MISMATCH", /40 values, expected 8 for each of 1/],
    [() => index.replace([3], new Float32Array(8)), "ZERO_VECTOR", /answer 3/],
    [() => index.add([0.5], query), "INVALID_ARGUMENT", /ids\[0\]/],
    [() => index.remove(3), "INVALID_ARGUMENT", /ids\.length/],
    [() => index.search(query, 1, { allowed: 3 }), "INVALID_ARGUMENT", /allowed\.length/],
    [() => index.search(query, 1, null), "INVALID_ARGUMENT", /options/],
    [() => index.searchBatch(queries.subarray(1), 1), "DIMENSION_MISMATCH", /39 values, expected a multiple of 8/],
    [() => index.searchBatch(new Float32Array(16).fill(1, 0, 8), 1), "ZERO_VECTOR", /row 1/],
  ]) {
    assert.throws(change, refused(code, words), String(words));
  }
  assert.deepEqual(index.search(query, count), before);
  index.free();
  assert.throws(() => index.remove([3]), refused("INVALID_ARGUMENT", /freed/));
  assert.equal(index.length, count + 1);
});

test("what was freed is of no use, and freeing it again does nothing", async () => {
  const own = await load();
  const file = exact(dumped, "models", "d384_18-t0.1.safetensors");
  const [freed, kept] = [own.Model.fromBytes(file), own.Model.fromBytes(file)];
  const { projected } = kept.project(query);
  freed.free();
  freed.free();
  // Whatever lies in its place now is not to be freed by it.
  const next = own.Model.fromBytes(file);
  freed.free();
  freed[Symbol.dispose]?.();
  for (const use of [() => freed.project(query), () => freed.projectBatch(query), () => freed.explain(query)]) {
    assert.throws(use, refused("INVALID_ARGUMENT", /model was freed/));
  }
  assert.deepEqual(next.project(query).projected, projected);
  assert.deepEqual(kept.project(query).projected, projected);
  // Nor does the garbage collector free once more what was freed.
  next.free();
  const memory = own.memory;
  for (let i = 0; i < 50; i++) {
    own.Model.fromBytes(file).free();
  }
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(kept.project(query).projected, projected);
  assert.ok(own.memory <= memory + (1 << 20), `${memory} before, ${own.memory} after`);
});

test("what is abandoned is freed", async () => {
  const file = exact(dumped, "models", "d384_200-t0.1.safetensors");
  const own = await load();
  for (let i = 0; i < 300; i++) {
    own.Model.fromBytes(file);
    if (i % 20 === 19) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  // 300 models of 900 KB each.
  assert.ok(own.memory < 100 << 20, `${own.memory} bytes`);
});

test("engines from bytes, from a module and from an address are the same", async () => {
  const bytes = fs.readFileSync(`${repository}/bindings/js/wasm/projection-scalar.wasm`);
  const file = exact(dumped, "models", "d384_18-t0.1.safetensors");
  const { projected } = (await load({ simd: false })).Model.fromBytes(file).project(query);
  const address = new URL("../wasm/projection-scalar.wasm", import.meta.url);
  for (const wasm of [bytes, await WebAssembly.compile(bytes), address, address.href]) {
    assert.deepEqual((await load({ wasm })).Model.fromBytes(file).project(query).projected, projected);
  }
});

test("whatever keeps an engine or a file from loading is an EngineError", async () => {
  const foreign = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const page = (status, type) => new Response("<!doctype html>", { status, headers: { "content-type": type } });
  const here = new URL("../package.json", import.meta.url);
  for (const [options, code, words] of [
    [null, "INVALID_ARGUMENT", /options: .*object, found null/],
    ["engine.wasm", "INVALID_ARGUMENT", /options: .*found string/],
    [{ wasm: null }, "INVALID_ARGUMENT", /^wasm: /],
    [{ wasm: new Uint8Array(3) }, "INVALID_ARGUMENT", /^wasm: /],
    [{ wasm: foreign }, "INVALID_ARGUMENT", /^wasm: .*another program/],
    [{ wasm: here }, "INVALID_ARGUMENT", /package\.json: .*magic/],
    [{ wasm: new URL("missing.wasm", here) }, "IO", /missing\.wasm/],
    [{ wasm: "missing.wasm" }, "IO", /missing\.wasm/],
    [{ wasm: new URL("ftp://localhost/engine.wasm") }, "IO", /ftp:/],
    [{ wasm: page(404, "application/wasm") }, "IO", /404/],
    [{ wasm: page(200, "text/html") }, "IO", /found a page/],
    [{ wasm: page(200, "application/wasm") }, "INVALID_ARGUMENT", /magic/],
  ]) {
    await assert.rejects(load(options), refused(code, words), String(words));
  }
  const { WebAssembly: kept } = globalThis;
  try {
    delete globalThis.WebAssembly;
    assert.equal(hasSimd(), false);
    await assert.rejects(load(), refused("INVALID_ARGUMENT", /scalar\.wasm: WebAssembly is not defined/));
  } finally {
    globalThis.WebAssembly = kept;
  }
  const { Model, Index } = engine;
  const file = path.join(dumped, "models", "d384_18-t0.1.safetensors");
  for (const address of [file, pathToFileURL(file), pathToFileURL(file).href]) {
    assert.deepEqual((await Model.load(address)).project(query).projected, model.project(query).projected);
  }
  await assert.rejects(Model.load("missing.safetensors"), refused("IO", /missing\.safetensors/));
  await assert.rejects(Model.load(), refused("INVALID_ARGUMENT", /address: .*found undefined/));
  await assert.rejects(Model.load("data:text/html,<p>"), refused("IO", /found a page/));
  await assert.rejects(Model.load(here), refused("INVALID_MODEL", /./));
  await assert.rejects(Index.load(file), refused("INVALID_MODEL", /./));
});
