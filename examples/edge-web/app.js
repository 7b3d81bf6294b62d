// The page: sends what is typed to the worker and shows what comes back.

import { hasSimd } from "./engine/index.js";

const element = (id) => document.getElementById(id);
const input = element("question");

/** Milliseconds without a key press after which a screen reader may speak. */
const SPEAK_AFTER = 900;

let texts = null;
let titles = new Map();
let answers = new Map();
let number = 0;
let ready = false;
// An offline visit needs the page, which the service worker caches, and the embedding model.
let pageKept = false;
let modelKept = false;
let speaking = 0;
/** Answers that the reader unfolded stay unfolded during further typing. */
const unfolded = new Set();

function make(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** A record's name as a title. */
function titleOf(answer) {
  const words = (answer.title ?? `answer ${answer.id}`).replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// --- The worker -------------------------------------------------------------------------

function say(state, text) {
  element("state").dataset.state = state;
  element("state-text").textContent = text;
}

const hear = {
  opened(message) {
    ({ texts } = message);
    answers = new Map(texts.answers.map((answer, row) => [answer.id, { ...answer, row }]));
    titles = new Map(texts.answers.map((answer) => [answer.id, titleOf(answer)]));
    const { projection, answers: about, embedding_model: name } = message.manifest;
    element("about").textContent =
      `${about.count} answers, ${texts.questions.length} known questions, a ${projection.kind} ` +
      `projection of ${projection.input_dim} dimensions, embedding model ${name}.`;
    element("pulls").hidden = texts.questions.length === 0;
  },
  progress({ done, total }) {
    const bar = element("progress");
    bar.hidden = done >= total;
    bar.max = total;
    bar.value = done;
    say(
      "loading",
      done < total
        ? `Loading the embedding model, once: ${megabytes(done)} of ${megabytes(total)}. You can type already.`
        : "Preparing the embedding model…",
    );
  },
  ready({ keeps }) {
    ready = true;
    modelKept = keeps;
    showReady();
  },
  answer(message) {
    if (message.number === number) {
      show(message);
    }
  },
  failed(message) {
    if (message.number === number) {
      element("results").hidden = true;
      say("failed", `That could not be answered: ${message.message}`);
    }
  },
  broken({ message }) {
    element("progress").hidden = true;
    say("failed", `The search could not start: ${message}`);
  },
};

function showReady() {
  if (ready) {
    say("ready", pageKept && modelKept ? "Ready. Works without a network, too." : "Ready.");
  }
}

function startWorker() {
  const worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("message", ({ data }) => hear[data.type](data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    hear.broken({ message: event.message ?? "the engine's worker did not load" });
  });
  return worker;
}

// --- What came back ---------------------------------------------------------------------

function show(result) {
  showReady();
  document.body.classList.add("asked");
  element("results").hidden = false;
  element("after").replaceChildren(
    ...result.after.map((hit, at) => entry(hit, at + 1, change(hit.before, at + 1))),
  );
  element("before").replaceChildren(...result.before.map((hit, at) => entry(hit, at + 1)));
  const most = result.questions[0]?.weight ?? 1;
  element("questions").replaceChildren(
    ...result.questions.map((question) => {
      const bar = make("div", { className: "bar" });
      bar.style.width = `${Math.max(1, (100 * question.weight) / most)}%`;
      const text = texts.questions[question.index] ?? "a question that was removed";
      return make(
        "li",
        {},
        make("span", { className: "share", textContent: percent(question.weight) }),
        make("span", { textContent: text }),
        bar,
      );
    }),
  );
  draw(result);
  const { embed, answer } = result.times;
  element("times").textContent =
    `On this device: ${embed.toFixed(0)} ms to read the question, ` +
    `${answer.toFixed(1)} ms to project it and to search.`;
  // For programs that look at the page.
  Object.assign(document.documentElement.dataset, {
    answered: result.number,
    question: result.text,
  });
  speakLater(result);
}

function entry({ answerId, score }, rank, changed) {
  const answer = answers.get(answerId) ?? { id: answerId };
  const details = make("details", { open: unfolded.has(answerId) });
  details.addEventListener("toggle", () => {
    // Also called for elements that are open when they are created.
    if (details.isConnected) {
      unfolded[details.open ? "add" : "delete"](answerId);
    }
  });
  const summary = make(
    "summary",
    {},
    make("span", { className: "rank", textContent: rank }),
    make("span", { className: "title", textContent: titles.get(answerId) ?? titleOf(answer) }),
    make("span", { className: "score", title: "Cosine", textContent: score.toFixed(3) }),
  );
  if (changed) {
    summary.append(changed);
  }
  summary.append(make("span", { className: "text", textContent: answer.text ?? "" }));
  details.append(summary);
  const item = make("li", {}, details);
  item.dataset.answer = answerId;
  item.dataset.score = score;
  return item;
}

function change(before, rank) {
  if (before === rank) {
    return null;
  }
  const up = before === null || before > rank;
  const from = before === null ? "far below" : `number ${before}`;
  const textContent = up ? `▲ up from ${from}` : `▼ down from ${from}`;
  return make("span", { className: `change ${up ? "up" : "down"}`, textContent });
}

// --- The picture ------------------------------------------------------------------------

const [WIDTH, HEIGHT, MARGIN] = [400, 300, 24];

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  if (text !== undefined) {
    made.textContent = text;
  }
  return made;
}

function draw({ after, places: { answers: places, question, projected }, angle }) {
  const all = [...places, question, projected];
  const [low, high] = [Math.min, Math.max].map((pick) =>
    [0, 1].map((axis) => all.reduce((best, place) => pick(best, place[axis]), all[0][axis])),
  );
  const scale = Math.min(
    (WIDTH - 2 * MARGIN) / Math.max(high[0] - low[0], 1e-6),
    (HEIGHT - 2 * MARGIN) / Math.max(high[1] - low[1], 1e-6),
  );
  const at = (place) => [
    WIDTH / 2 + (place[0] - (low[0] + high[0]) / 2) * scale,
    HEIGHT / 2 - (place[1] - (low[1] + high[1]) / 2) * scale,
  ];
  const circle = (place, r, name) => {
    const [cx, cy] = at(place);
    return shape("circle", { cx, cy, r, class: name });
  };
  const best = after.slice(0, 3).map((hit) => places[answers.get(hit.answerId)?.row]);
  const [x1, y1] = at(question);
  const [x2, y2] = at(projected);
  element("picture").replaceChildren(
    ...places.map((place) => circle(place, 4, "answer")),
    ...best.map((place) => circle(place, 6, "found")),
    shape("line", { x1, y1, x2, y2, class: "way" }),
    circle(question, 6, "question"),
    circle(projected, 7, "projected"),
    ...best.map((place, rank) => {
      const [x, y] = at(place);
      return shape("text", { x: x + 9, y: y + 5 }, rank + 1);
    }),
  );
  element("moved").textContent =
    `The projection turned your question by ${angle.toFixed(0)}°, here to the right. ` +
    `The numbers are the best three answers.`;
}

function speakLater({ after, before }) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    const [first, plain] = [after[0], before[0]].map((hit) => titles.get(hit?.answerId));
    element("spoken").textContent =
      first === plain
        ? `Best answer: ${first}.`
        : `Best answer: ${first}. Without the projection: ${plain}.`;
  }, SPEAK_AFTER);
}

// --- Typing -----------------------------------------------------------------------------

let worker = null;

function ask() {
  const text = input.value.trim();
  number += 1;
  if (text === "") {
    element("results").hidden = true;
    document.body.classList.remove("asked");
    clearTimeout(speaking);
    element("spoken").textContent = "";
    showReady();
    return;
  }
  worker?.postMessage({ number, text });
}

input.addEventListener("input", ask);
element("ask").addEventListener("submit", (event) => event.preventDefault());
element("examples").addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement) {
    input.value = target.textContent;
    input.focus({ preventScroll: true });
    ask();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== input && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    input.select();
    input.focus();
  }
});

// --- Start ------------------------------------------------------------------------------

// Without a network the service worker provides the page itself.
if ("serviceWorker" in navigator) {
  navigator.serviceWorker
    .register(`sw.js?${hasSimd() ? "simd" : "scalar"}`)
    .then(() => navigator.serviceWorker.ready)
    .then(() => {
      pageKept = true;
      if (element("state").dataset.state === "ready") {
        showReady();
      }
    })
    .catch(() => {});
  navigator.storage?.persist?.().catch(() => {});
}
worker = startWorker();
ask();
