// The engine runs here rather than in the page, so that typing never waits for it.

import { load } from "./engine/index.js";
import { answerVectors, picture, principalAxes } from "./picture.js";
import { loadEmbeddingModel } from "./embedding-model.js";

const ANSWERS = 5;
const QUESTIONS = 6;
/** Ranks without the projection are computed up to this one. */
const RANKS = 1000;

const tell = (type, more) => self.postMessage({ type, ...more });

async function start() {
  const file = async (name) => {
    const response = await fetch(new URL(`data/${name}`, import.meta.url));
    if (!response.ok) {
      throw new Error(`data/${name}: the server answered ${response.status}`);
    }
    return response;
  };
  const bytes = async (name) => new Uint8Array(await (await file(name)).arrayBuffer());
  const names = ["texts.json", "model.safetensors", "answers.safetensors"];
  const [engine, manifest, ...parts] = await Promise.all([
    load({ embedder: true }),
    file("manifest.json").then((response) => response.json()),
    ...names.map(bytes),
  ]);
  // An incomplete copy, or files of two exports, would return wrong answers.
  for (const [at, name] of names.entries()) {
    const expected = manifest.parts?.find((part) => part.name === name)?.bytes;
    if (parts[at].length !== expected) {
      const found = `${parts[at].length} bytes, expected ${expected ?? "a size"} as manifest.json says`;
      throw new Error(`data/${name}: ${found}: export the folder again`);
    }
  }
  const [, modelBytes, answersBytes] = parts;
  const texts = JSON.parse(new TextDecoder().decode(parts[0]));
  const model = engine.Model.fromBytes(modelBytes);
  const index = engine.Index.fromBytes(answersBytes);
  const vectors = answerVectors(answersBytes);
  const axes = principalAxes(vectors);
  tell("opened", { manifest, texts });

  const { files, keeps } = await loadEmbeddingModel((done, total) => tell("progress", { done, total }));
  // As the answers were embedded.
  const about = JSON.parse(new TextDecoder().decode(files["sentence_bert_config.json"]));
  const embedder = engine.Embedder.fromBytes(
    files["model.safetensors"],
    files["tokenizer.json"],
    files["config.json"],
    { maxTokens: about.max_seq_length, fingerprint: manifest.embedding_model_fingerprint },
  );
  tell("ready", { keeps });
  return { model, index, embedder, vectors, axes };
}

function answer({ model, index, embedder, vectors, axes }, { number, text }) {
  const started = performance.now();
  const query = embedder.embed(text);
  const embedded = performance.now();
  const { projected } = model.project(query);
  const after = index.search(projected, ANSWERS);
  const searched = performance.now();
  const ranks = index.search(query, RANKS);
  const { questions } = model.explain(query, QUESTIONS);
  const length = Math.hypot(...projected);
  const unit = projected.map((value) => value / length);
  const rankOf = new Map(ranks.map((hit, at) => [hit.answerId, at + 1]));
  return {
    number,
    text,
    before: ranks.slice(0, ANSWERS),
    after: after.map((hit) => ({ ...hit, before: rankOf.get(hit.answerId) ?? null })),
    questions,
    angle: angle(query, projected),
    places: picture(vectors, axes, query, unit),
    times: { embed: embedded - started, answer: searched - embedded },
  };
}

function angle(a, b) {
  const dot = a.reduce((sum, value, i) => sum + value * b[i], 0);
  const cosine = dot / (Math.hypot(...a) * Math.hypot(...b));
  return (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;
}

// Only the newest question counts: those typed while another was answered are skipped.
let waiting = null;
let tools = null;

function work() {
  if (tools === null || waiting === null) {
    return;
  }
  const question = waiting;
  waiting = null;
  try {
    tell("answer", answer(tools, question));
  } catch (error) {
    tell("failed", { number: question.number, message: error.message });
  }
}

self.addEventListener("message", ({ data }) => {
  waiting = data;
  // After the messages that have already arrived.
  setTimeout(work);
});

start().then(
  (made) => {
    tools = made;
    work();
  },
  (error) => tell("broken", { message: error.message }),
);
