// Damaged files of an embedding model return an error or an embedder that works.
// A model of a few kilobytes stands for a real one, which is too large to be opened hundreds of
// times. The random numbers are seeded, so that a failure is repeatable.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "../node.js";
import { exact, Random } from "./helpers.mjs";

const ROUNDS = 250;
const SIZES = { hidden: 8, inner: 16, heads: 2, positions: 16, types: 2 };
const WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "do", "i", "read", "a", "##s", "file"];
const encode = (text) => new TextEncoder().encode(text);
const read = (name) => JSON.parse(new TextDecoder().decode(exact(process.env.MODEL_DIR, name)));

/** Config, tokenizer and weights in the shape of the real model's. */
function tinyModel() {
  const { hidden, inner, heads, positions, types } = SIZES;
  const config = {
    ...read("config.json"),
    hidden_size: hidden,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_hidden_layers: 1,
    max_position_embeddings: positions,
    type_vocab_size: types,
    vocab_size: WORDS.length,
  };
  const tokenizer = read("tokenizer.json");
  const idOf = (word) => WORDS.indexOf(word);
  tokenizer.model.vocab = Object.fromEntries(WORDS.map((word, id) => [word, id]));
  tokenizer.added_tokens = tokenizer.added_tokens.map((token) => ({ ...token, id: idOf(token.content) }));
  for (const [word, token] of Object.entries(tokenizer.post_processor.special_tokens ?? {})) {
    token.ids = [idOf(word)];
  }
  const shapes = {
    "embeddings.word_embeddings.weight": [WORDS.length, hidden],
    "embeddings.position_embeddings.weight": [positions, hidden],
    "embeddings.token_type_embeddings.weight": [types, hidden],
  };
  const norm = (name) => Object.assign(shapes, { [`${name}.weight`]: [hidden], [`${name}.bias`]: [hidden] });
  const dense = (name, out, into) =>
    Object.assign(shapes, { [`${name}.weight`]: [out, into], [`${name}.bias`]: [out] });
  norm("embeddings.LayerNorm");
  const layer = "encoder.layer.0";
  for (const part of ["query", "key", "value"]) {
    dense(`${layer}.attention.self.${part}`, hidden, hidden);
  }
  dense(`${layer}.attention.output.dense`, hidden, hidden);
  norm(`${layer}.attention.output.LayerNorm`);
  dense(`${layer}.intermediate.dense`, inner, hidden);
  dense(`${layer}.output.dense`, hidden, inner);
  norm(`${layer}.output.LayerNorm`);

  const header = {};
  let end = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  const text = encode(JSON.stringify(header));
  const model = new Uint8Array(8 + text.length + end);
  new DataView(model.buffer).setBigUint64(0, BigInt(text.length), true);
  model.set(text, 8);
  model.set(new Uint8Array(new Float32Array(end / 4).map((_, i) => Math.sin(i + 1)).buffer), 8 + text.length);
  return [model, encode(JSON.stringify(tokenizer)), encode(JSON.stringify(config))];
}

const HUGE = ["0", "-1", "7", "4294967295", "4294967296", "18446744073709551615", "1e308", "null", "[]", "\"x\""];

/** One of several kinds of damage. */
function damaged(file, random) {
  const place = (n) => random.below(Math.max(1, n));
  const kind = place(4);
  if (kind === 0) { // cut short
    return file.slice(0, place(file.length));
  }
  // The header of the weights is text too.
  const start = file[0] === 0x7b ? 0 : 8;
  const length = start === 0 ? file.length : Number(new DataView(file.buffer).getBigUint64(0, true));
  if (kind === 1) { // some bytes, most of them of the text
    const copy = file.slice();
    for (let i = 0; i <= place(4); i++) {
      copy[place(3) === 0 ? place(copy.length) : start + place(length)] = place(256);
    }
    return copy;
  }
  let text = new TextDecoder().decode(file.subarray(start, start + length));
  if (kind === 2) { // another number, or none
    const numbers = [...text.matchAll(/-?\d+(\.\d+)?/g)];
    const number = numbers[place(numbers.length)];
    text = text.slice(0, number.index) + HUGE[place(HUGE.length)] + text.slice(number.index + number[0].length);
  } else { // a word in place of another
    const words = [...new Set(text.match(/[a-zA-Z_]+/g))];
    text = text.replaceAll(words[place(words.length)], words[place(words.length)]);
  }
  const [bytes, data] = [encode(text), file.subarray(start + length)];
  const made = new Uint8Array(start + bytes.length + data.length);
  if (start > 0) {
    new DataView(made.buffer).setBigUint64(0, BigInt(bytes.length), true);
  }
  made.set(bytes, start);
  made.set(data, start + bytes.length);
  return made;
}

test("damaged embedding models", async () => {
  const engine = await load({ embedder: true });
  const whole = tinyModel();
  const embedder = engine.Embedder.fromBytes(...whole);
  const vector = embedder.embed("How do I read a file?");
  assert.ok(vector.length === SIZES.hidden && vector.every(Number.isFinite));
  embedder.free();

  const random = new Random(11);
  let [refused, opened] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const part = round % 3;
    const files = whole.map((file, i) => (i === part ? damaged(file, random) : file));
    const what = `file ${part}, round ${round}`;
    let made;
    try {
      made = engine.Embedder.fromBytes(...files);
      opened++;
      assert.ok(made.embed("How do I read a file?").every(Number.isFinite), what);
      made.embed("");
      made.embed("a ".repeat(1000));
    } catch (error) {
      assert.ok(["INVALID_EMBEDDER", "NOT_FINITE", "OUT_OF_MEMORY"].includes(error.code), `${what}: ${error.stack}`);
      assert.ok(error.message.length > 10, what);
      refused++;
    } finally {
      made?.free();
    }
  }
  assert.ok(refused > 100 && opened > 20, `${refused} refused, ${opened} opened`);
  // No file made the engine allocate what its numbers claim.
  const { maxRSS } = process.resourceUsage();
  assert.ok(maxRSS < 1 << 20, `${maxRSS} KB`);
  // Other engines are unaffected.
  assert.deepEqual(engine.Embedder.fromBytes(...whole).embed("How do I read a file?"), vector);
});
