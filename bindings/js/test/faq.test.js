// The FAQ from text to answer: embedding, projection and search here find what the command
// finds. Run by scripts/test_js.sh, which trains the store.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { load } from "../node.js";
import { exact } from "./helpers.mjs";

const { FAQ_STORE, FAQ_PROJECTION, FAQ_MODEL, MODEL_DIR, PROJECTION } = process.env;

const QUESTIONS = [
  "How do I read a CSV file?",
  "What happens if my function panics?",
  "why is my build so slow",
  "Which version should I install?",
  "",
];

function native(question, k) {
  const query = ["query", FAQ_STORE, question, "-k", String(k), "--json", "--model-dir", MODEL_DIR];
  return JSON.parse(execFileSync(PROJECTION, [...query, "--projection", FAQ_PROJECTION], { encoding: "utf8" }));
}

// Of the build with SIMD, for both: it takes long without.
let vectors;

for (const simd of [true, false]) {
  test(`text to answer ${simd ? "with" : "without"} SIMD`, async () => {
    assert.ok(FAQ_STORE, "run scripts/test_js.sh");
    const { Model, Index, Embedder } = await load({ simd, embedder: true });
    const file = (name) => exact(MODEL_DIR, name);
    const embedder = Embedder.fromBytes(
      file("model.safetensors"), file("tokenizer.json"), file("config.json"), { maxTokens: 256 });
    assert.equal(embedder.dim, 384);
    // The fingerprint of another model's vectors is refused.
    const recorded = { ...embedder.fingerprint, weights: "another" };
    assert.equal(embedder.fingerprint.max_tokens, 256);
    assert.throws(
      () => Embedder.fromBytes(file("model.safetensors"), file("tokenizer.json"), file("config.json"),
        { maxTokens: 256, fingerprint: recorded }),
      { code: "INVALID_EMBEDDER", message: /weights "[0-9a-f]{16}", expected "another"/ });
    const answers = native(QUESTIONS[0], 1000).hits;
    assert.ok(answers.length > 20);
    if (!vectors) {
      vectors = new Float32Array(384 * answers.length);
      answers.forEach(({ text }, i) => vectors.set(embedder.embed(text), 384 * i));
    }
    const index = Index.fromVectors(answers.map((hit) => hit.answer_id), vectors);
    const model = Model.fromBytes(exact(FAQ_MODEL));
    for (const question of QUESTIONS.filter((question) => question !== "")) {
      const hits = index.search(model.project(embedder.embed(question)).projected, 5);
      const expected = native(question, 5).hits;
      assert.deepEqual(hits.map((hit) => hit.answerId), expected.map((hit) => hit.answer_id), question);
      hits.forEach(({ score }, i) => {
        assert.ok(Math.abs(score - expected[i].score) < 1e-5, `${question}: ${score}, ${expected[i].score}`);
      });
    }
    // The empty text has a vector too.
    assert.ok(embedder.embed("").every(Number.isFinite));
    embedder.free();
    assert.throws(() => embedder.embed("x"), { code: "INVALID_ARGUMENT" });
  });
}

test("damaged files of an embedding model are refused, and the engine still works", async () => {
  const engine = await load({ embedder: true });
  const parts = ["model.safetensors", "tokenizer.json", "config.json"].map((name) => exact(MODEL_DIR, name));
  const text = new TextDecoder().decode(parts[1]);
  const encode = (text) => new TextEncoder().encode(text);
  for (const [place, bytes] of [
    [0, parts[0].subarray(0, 1000)],
    [0, new Uint8Array(20)],
    [1, encode(text.slice(0, 5000))],
    [1, encode("{}")],
    [1, encode(text.replace('"[CLS]"', '"[ZZZ]"'))],
    [2, encode("{}")],
    [2, encode(new TextDecoder().decode(parts[2]).replace("1536", "1537"))],
    [2, encode(new TextDecoder().decode(parts[2]).replace("30522", "4000000000"))],
  ]) {
    const changed = parts.with ? parts.with(place, bytes) : parts.map((part, i) => (i === place ? bytes : part));
    assert.throws(() => engine.Embedder.fromBytes(...changed), { code: "INVALID_EMBEDDER" }, `${place}`);
  }
  const model = engine.Model.fromBytes(exact(FAQ_MODEL));
  assert.equal(model.project(new Float32Array(384).fill(1)).projected.length, 384);
});
