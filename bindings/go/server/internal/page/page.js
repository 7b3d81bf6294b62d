"use strict";

const byId = (id) => document.getElementById(id);

// element makes an element with text or children; nothing is ever read as HTML.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// call sends a request to the API and gives its JSON; errors have the server's message.
async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const token = byId("token").value.trim();
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (response.status === 401) {
    byId("access").hidden = false;
    byId("token").focus();
    throw new Error("The server asks for an access token.");
  }
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.message || `The server answered ${response.status}.`);
  }
  return answer;
}

function say(text, failed) {
  const status = byId("status");
  status.textContent = text;
  status.classList.toggle("failed", Boolean(failed));
}

// breakable lets a name such as routing_weights break after its underscores.
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part) => [part, element("wbr", {})]);
}

const percent = (share) => `${(100 * (share || 0)).toFixed(1)} %`;

async function showModel() {
  const active = await call("GET", "v1/projections/active");
  const model = active.model;
  const parts = [`Model ${model.id}${model.name ? ` “${model.name}”` : ""}`, model.kind.replace("_", " ")];
  if (model.heads && model.heads !== "0") {
    parts.push(`${model.heads} heads`);
  }
  parts.push(model.embeddingModel, active.answers ? `${active.answers} answers in memory` : "answers in PostgreSQL");
  if (model.recallAt1 !== undefined) {
    parts.push(`recall@1 ${percent(model.recallAt1)} when it was trained`);
  }
  byId("model").textContent = parts.join(" · ") + (active.reloadError ? ` · Warning: ${active.reloadError}.` : "");
  byId("hybrid").disabled = active.backend !== "memory";
  if (!active.embeds) {
    throw new Error("This server takes vectors only: it was started without an embedding model, so it can't read questions.");
  }
  return active;
}

// change says what became of an answer's rank.
function change(before, now) {
  if (!before || Number(before) === now) {
    return before ? element("span", {}, "same rank without projection") : "";
  }
  const up = Number(before) > now;
  return element("span", { class: up ? "up" : "down" }, `${up ? "↑ up" : "↓ down"} from rank ${before}`);
}

function hit(found, index, compare) {
  const head = element("div", { class: "head" },
    element("span", {}, `answer ${found.answerId}`),
    element("span", { class: "number" }, `score ${(found.score || 0).toFixed(3)}`));
  if (compare && found.explanation) {
    head.append(change(found.explanation.rankBefore, index + 1));
  }
  const text = element("p", {}, found.text || "(no text)");
  const item = element("li", {}, head, text);
  if (text.textContent.length > 220) {
    const more = element("button", { type: "button", "aria-expanded": "false" }, "Show all");
    text.classList.add("long");
    more.addEventListener("click", () => {
      const long = text.classList.toggle("long");
      more.textContent = long ? "Show all" : "Show less";
      more.setAttribute("aria-expanded", String(!long));
    });
    item.append(more);
  }
  return item;
}

function show(projected, plain) {
  const explanation = projected.explanation || {};
  byId("moved").textContent = explanation.angle === undefined
    ? "The projection moved the question."
    : `The projection turned the question by ${explanation.angle.toFixed(1)} degrees.`;
  byId("routing").replaceChildren(...(projected.routing || []).map((head) => element("tr", {},
    element("th", { scope: "row" }, ...breakable(head.cluster || `cluster ${head.clusterId}`)),
    element("td", {}, element("div", { class: "share" },
      element("meter", { min: 0, max: 1, value: head.weight || 0, "aria-hidden": "true" }),
      element("span", { class: "number" }, percent(head.weight)))))));
  const questions = (explanation.questions || []).slice(0, 8);
  byId("why").hidden = questions.length === 0;
  byId("questions").replaceChildren(...questions.map((question) =>
    element("li", {}, `${question.text || "a question that the store no longer has"} `,
      element("span", { class: "number" }, `(${percent(question.weight)})`))));
  byId("projected").replaceChildren(...(projected.hits || []).map((found, i) => hit(found, i, true)));
  byId("plain").replaceChildren(...(plain.hits || []).map((found, i) => hit(found, i, false)));
  byId("results").hidden = false;
}

// Only the newest search may show its answers.
let searches = 0;

async function search(event) {
  event.preventDefault();
  const own = ++searches;
  const button = byId("form").querySelector("button");
  button.disabled = true;
  say("Searching …");
  try {
    const request = { text: byId("question").value, k: Number(byId("k").value) };
    if (byId("hybrid").checked) {
      request.hybrid = {};
    }
    const began = performance.now();
    const [projected, plain] = await Promise.all([
      call("POST", "v1/search", { ...request, explain: true, routing: 6 }),
      call("POST", "v1/search", { ...request, project: false }),
    ]);
    if (own !== searches) {
      return;
    }
    show(projected, plain);
    say(`${(projected.hits || []).length} answers in ${Math.round(performance.now() - began)} ms, by model ${projected.model.id}.`);
    byId("results").focus({ preventScroll: true });
  } catch (error) {
    byId("results").hidden = true;
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

byId("form").addEventListener("submit", search);
byId("token").addEventListener("change", () => showModel().then(() => say(""), (error) => say(error.message, true)));
showModel().catch((error) => say(error.message, true));
