// Damaged and made-up files return an error or a model that works: never a trap, and no more memory
// than the files justify. The random numbers are seeded, so that a failure is repeatable.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "../node.js";
import { dumped, exact, Random } from "./helpers.mjs";

const SEEDS = [
  "d8_mixed-t0.1",
  "d384_to_d8-t0.1",
  "residual_all",
  "residual_adapter",
  "residual_routed_adapter",
  "linear_d8_to_d3",
  "top_3",
  "transformer",
];
const ROUNDS = 400;
const HUGE = ["0", "1", "-1", "3", "255", "4294967296", "9007199254740993", "18446744073709551615", "1e308", "null", "[]", "{}", "\"\""];

/** The header's text and the bytes after it. */
function parts(file) {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return { header: new TextDecoder().decode(file.subarray(8, 8 + length)), data: file.subarray(8 + length) };
}

function joined(header, data) {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

/** One of several kinds of damage. */
function damaged(file, random) {
  const { header, data } = parts(file);
  const place = (n) => random.below(Math.max(1, n));
  switch (random.below(7)) {
    case 0: // cut short
      return file.slice(0, place(file.length));
    case 1: { // some bytes anywhere
      const copy = file.slice();
      for (let i = 0; i <= place(8); i++) {
        copy[place(copy.length)] = place(256);
      }
      return copy;
    }
    case 2: { // some bytes of the header
      const copy = file.slice();
      for (let i = 0; i <= place(3); i++) {
        copy[place(8 + header.length)] = place(256);
      }
      return copy;
    }
    case 3: { // another number, or none, in the header
      const numbers = [...header.matchAll(/-?\d+(\.\d+)?/g)];
      const number = numbers[place(numbers.length)];
      const [before, after] = [header.slice(0, number.index), header.slice(number.index + number[0].length)];
      return joined(before + HUGE[place(HUGE.length)] + after, data);
    }
    case 4: { // two names or words swapped
      const words = [...new Set(header.match(/[a-z_A-Z0-9]+/g))];
      const [a, b] = [words[place(words.length)], words[place(words.length)]];
      return joined(header.replaceAll(a, b), data);
    }
    case 5: { // values that no vector has
      const copy = file.slice();
      const at = 8 + header.length + 4 * place(data.length / 4);
      new DataView(copy.buffer).setFloat32(at, [NaN, Infinity, -Infinity, 0, 3e38][place(5)], true);
      return copy;
    }
    default: // bytes too many, or moved
      return joined(header + " ".repeat(place(20)), data.subarray(place(data.length)));
  }
}

for (const simd of [true, false]) {
  test(`damaged models ${simd ? "with" : "without"} SIMD`, async () => {
    const engine = await load({ simd });
    const random = new Random(simd ? 7 : 8);
    let [refused, opened] = [0, 0];
    for (const name of SEEDS) {
      const seed = exact(dumped, "models", `${name}.safetensors`);
      for (let round = 0; round < ROUNDS; round++) {
        const file = damaged(seed, random);
        const what = `${name} round ${round}`;
        try {
          const model = engine.Model.fromBytes(file);
          opened++;
          try {
            const query = new Float32Array(model.inputDim).map((_, i) => Math.cos(i));
            const { projected } = model.project(query);
            assert.ok(projected.every(Number.isFinite), what);
            model.projectBatch(query);
            model.explain(query, 5);
          } finally {
            model.free();
          }
        } catch (error) {
          assert.match(String(error.code), /^[A-Z_]+$/, `${what}: ${error.stack}`);
          assert.notEqual(error.code, "INTERNAL", `${what}: ${error.message}`);
          assert.ok(error.message.length > 10, what);
          refused++;
        }
      }
    }
    assert.ok(refused > 1000 && opened > 100, `${refused} refused, ${opened} opened`);
    assert.ok(engine.memory < 32 << 20, `${engine.memory} bytes`);
  });
}

/** A file of answers in bytes or in single precision. */
function answersFile(count, dim, bytes) {
  const random = new Random(3);
  const vectors = [];
  for (let row = 0; row < count; row++) {
    const values = Array.from({ length: dim }, () => random.below(2001) / 1000 - 1);
    const length = Math.hypot(...values);
    vectors.push(...values.map((value) => value / length));
  }
  const largest = (row) => Math.max(...vectors.slice(row * dim, (row + 1) * dim).map(Math.abs));
  const scales = Float32Array.from({ length: count }, (_, row) => largest(row) / 127);
  const parts = bytes
    ? {
        vectors: ["I8", [count, dim], Int8Array.from(vectors, (value, i) => Math.round(value / scales[Math.floor(i / dim)]))],
        scales: ["F32", [count], scales],
      }
    : { vectors: ["F32", [count, dim], Float32Array.from(vectors)] };
  parts.answer_ids = ["I64", [count], BigInt64Array.from({ length: count }, (_, row) => BigInt(7 * row))];
  const header = {
    __metadata__: { format: "projection_answers", format_version: "1", dimension: String(dim) },
  };
  const data = [];
  for (const [name, [dtype, shape, values]] of Object.entries(parts)) {
    const begin = data.length;
    data.push(...new Uint8Array(values.buffer));
    header[name] = { dtype, shape, data_offsets: [begin, data.length] };
  }
  return joined(JSON.stringify(header), Uint8Array.from(data));
}

for (const simd of [true, false]) {
  test(`damaged answers ${simd ? "with" : "without"} SIMD`, async () => {
    const engine = await load({ simd });
    const random = new Random(simd ? 9 : 10);
    let [refused, opened] = [0, 0];
    for (const bytes of [true, false]) {
      const seed = answersFile(20, 24, bytes);
      assert.equal(engine.Index.fromBytes(seed).length, 20);
      for (let round = 0; round < 3 * ROUNDS; round++) {
        const what = `${bytes ? "int8" : "f32"} round ${round}`;
        try {
          const index = engine.Index.fromBytes(damaged(seed, random));
          opened++;
          try {
            const hits = index.search(new Float32Array(index.dim).fill(1), 5);
            assert.ok(hits.every(({ score }) => Math.abs(score) <= 1.001), what);
          } finally {
            index.free();
          }
        } catch (error) {
          assert.match(String(error.code), /^[A-Z_]+$/, `${what}: ${error.stack}`);
          assert.notEqual(error.code, "INTERNAL", `${what}: ${error.message}`);
          assert.ok(error.message.length > 10, what);
          refused++;
        }
      }
    }
    assert.ok(refused > 1000 && opened > 100, `${refused} refused, ${opened} opened`);
    assert.ok(engine.memory < 16 << 20, `${engine.memory} bytes`);
  });
}

test("a model that is made and freed again and again takes no more memory", async () => {
  const engine = await load();
  const file = exact(dumped, "models", "d384_200-t0.1.safetensors");
  engine.Model.fromBytes(file).free();
  const before = engine.memory;
  for (let i = 0; i < 200; i++) {
    const model = engine.Model.fromBytes(file);
    model.projectBatch(new Float32Array(384 * 20).fill(0.5));
    model.free();
    model.free();
  }
  assert.ok(engine.memory <= before + (4 << 20), `${before} before, ${engine.memory} after`);
});

test("an approximate index in a model's file is not looked at", async () => {
  const { Model } = await load();
  const file = exact(dumped, "models", "d8_mixed-t0.1.safetensors");
  const { header, data } = parts(file);
  const tensors = JSON.parse(header);
  tensors.index_codes = { dtype: "I8", shape: [1, 8], data_offsets: [data.length, data.length + 8] };
  const more = joined(JSON.stringify(tensors), Uint8Array.of(...data, 0, 0, 0, 0, 0, 0, 0, 0));
  const query = new Float32Array(8).fill(1);
  assert.deepEqual(Model.fromBytes(more).project(query), Model.fromBytes(file).project(query));
});
