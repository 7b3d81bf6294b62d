// The page in a real browser: what a person types brings the answers that the command finds,
// with and without a network, on a phone and on a desk. Run by `make test-edge`.
//
// usage: node browser.test.mjs SITE EXACT STORE     SITE of site.py, EXACT and STORE below
//
// EXACT is an export of the same projection with answers in single precision, from STORE.
// Pictures go beside SITE, for people to look at.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { measure } from "./measure.mjs";

const [site, exact, store] = process.argv.slice(2).map((name) => path.resolve(name));
const repository = fileURLToPath(new URL("../../..", import.meta.url));
const faq = JSON.parse(readFileSync(path.join(repository, "examples/faq/faq_test.json"), "utf8"));
const questions = faq.clusters.flatMap((cluster) => cluster.questions);
const manifest = JSON.parse(readFileSync(path.join(site, "data/manifest.json"), "utf8"));

/** Every eighth question also goes to the command, which loads its embedding model each time. */
const NATIVE = 8;
/** What bytes may change in a score; the largest change seen is half of it. */
const ROUNDED = 0.005;
const ONLINE = questions.slice(0, 3);
const OFFLINE = questions.slice(40, 43);
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1280, height: 900 };
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The command's best answers with the projection, and by plain cosine. */
function native(question) {
  const model = path.join(repository, "models/all-MiniLM-L6-v2");
  const { id } = manifest.projection;
  const query = ["query", store, question, "--projection", String(id), "--model-dir", model];
  const all = ["-k", String(manifest.answers.count), "--json"];
  const printed = execFileSync(path.join(repository, "target/release/projection"), [...query, ...all]);
  const { hits } = JSON.parse(printed);
  const plain = hits.toSorted((a, b) => a.cosine_rank - b.cosine_rank);
  return {
    after: hits.map((hit) => ({ answerId: hit.answer_id, score: hit.score })).slice(0, 5),
    before: plain.map((hit) => ({ answerId: hit.answer_id, score: hit.cosine_score })).slice(0, 5),
  };
}

/** A visitor of a site whose files do not belong together is told which one is wrong. */
async function checkDamaged(address) {
  const browser = await chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
  try {
    const context = await browser.newContext({ serviceWorkers: "block" });
    await context.route("**/data/answers.safetensors", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.body()).subarray(0, 1000) });
    });
    const page = await context.newPage();
    await page.goto(address);
    const { bytes } = manifest.parts.find((part) => part.name === "answers.safetensors");
    const expected = `data/answers.safetensors: 1000 bytes, expected ${bytes} as manifest.json says`;
    await page.getByText(expected).waitFor({ timeout: 60_000 });
  } finally {
    await browser.close();
  }
}

async function serve() {
  const script = path.join(repository, "examples/edge-web/site.py");
  const server = spawn("python3", [script, "serve", site, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface(server.stdout)) {
    return { server, address: line.split(" ")[0] };
  }
  throw new Error("the server did not start");
}

function sameHits(found, expected, slack, what) {
  assert.deepEqual(found.map((hit) => hit.answerId), expected.map((hit) => hit.answerId), what);
  found.forEach(({ score }, rank) => {
    const difference = Math.abs(score - expected[rank].score);
    assert.ok(difference <= slack, `${what}: score ${score}, expected ${expected[rank].score}`);
  });
}

/** Types a question and gives what the page then shows. */
async function ask(page, question) {
  const before = await page.evaluate(() => document.documentElement.dataset.answered);
  await page.getByRole("searchbox", { name: "Your question" }).fill("");
  await page.getByRole("searchbox", { name: "Your question" }).pressSequentially(question);
  await page.waitForFunction(
    (wanted) => {
      const { answered, question } = document.documentElement.dataset;
      return answered !== wanted.before && question === wanted.question;
    },
    { question, before },
  );
  return page.evaluate(() => {
    const hits = (list) =>
      [...document.querySelectorAll(`#${list} > li`)].map((item) => ({
        answerId: Number(item.dataset.answer),
        score: Number(item.dataset.score),
      }));
    const pulls = [...document.querySelectorAll("#questions > li")].map((item) => item.innerText);
    const moved = document.querySelector("#moved").textContent;
    return { after: hits("after"), before: hits("before"), pulls, moved };
  });
}

async function checkQuestions(page, asked) {
  for (const question of asked) {
    const shown = await ask(page, question);
    // Answers are bytes here: each score moves a little, and near ties may change places.
    const { after, before } = native(question);
    for (const [found, expected] of [[shown.after, after], [shown.before, before]]) {
      found.forEach((hit, rank) => {
        assert.ok(Math.abs(hit.score - expected[rank].score) < ROUNDED, `${question}: ${rank}`);
      });
      const { score } = expected.find((hit) => hit.answerId === found[0].answerId) ?? {};
      assert.ok(score > expected[0].score - ROUNDED, `${question}: ${found[0].answerId} is first`);
    }
    assert.ok(shown.pulls.length > 0 && shown.pulls[0].includes("%"), question);
    assert.match(shown.moved, /by [1-9]\d?°/);
    console.log(`  "${question}": answer ${shown.after[0].answerId}, the command's ${after[0].answerId}`);
  }
}

async function pictures(page, name) {
  for (const [device, size] of [["phone", PHONE], ["desk", DESK]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      // Nothing is wider than the screen.
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels too wide on a ${device}`);
      const file = path.join(path.dirname(site), `${name}-${device}-${colorScheme}.png`);
      await page.screenshot({ path: file, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/** What a keyboard reaches has a name, and shows where it is. */
async function checkKeyboard(page) {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");
  for (let step = 0; step < 6; step++) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const { activeElement: at } = document;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      return { name: at.innerText, outline: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    });
    assert.ok(focused.name && focused.outline, `${step}: ${JSON.stringify(focused)}`);
  }
}

async function main() {
  cpSync(exact, path.join(site, "exact"), { recursive: true });
  const { server, address } = await serve();
  const profile = mkdtempSync(path.join(tmpdir(), "edge-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER,
    headless: true,
    viewport: DESK,
    args: ARGUMENTS,
  });
  try {
    const troubles = [];
    let network = true;
    const watch = (page) => {
      page.on("pageerror", (error) => troubles.push(String(error)));
      page.on("console", (message) => {
        // Without a network, the browser says so of the service worker's update.
        if (message.type() === "error" && network) {
          troubles.push(message.text());
        }
      });
      page.on("request", (request) => {
        if (!request.url().startsWith(address)) {
          troubles.push(`a request to ${request.url()}`);
        }
      });
    };
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(120_000);
    watch(page);
    const started = Date.now();
    await page.goto(address);
    // A question typed before the embedding model is loaded is answered as soon as it is.
    await page.getByRole("searchbox", { name: "Your question" }).fill(questions[7]);
    await page.getByText("Ready. Works without a network").waitFor();
    await page.locator("#after > li").first().waitFor();
    console.log(`ready, and an early question answered, after ${Date.now() - started} ms`);

    const kept = await page.evaluate(async () => {
      const requests = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
      return requests.flat().map((request) => request.url).filter((url) => url.endsWith(".wasm"));
    });
    assert.deepEqual(kept, [new URL("engine/wasm/projection-embedder.wasm", address).href]);

    console.log("online:");
    await checkQuestions(page, ONLINE);
    await pictures(page, "online");
    await page.setViewportSize(DESK);
    await checkKeyboard(page);
    await page.getByRole("button", { name: "uploaded" }).click();
    await page.waitForFunction(() => document.documentElement.dataset.question.includes("uploaded"));
    await page.getByRole("searchbox", { name: "Your question" }).fill("   ");
    await page.locator("#results").waitFor({ state: "hidden" });

    const asked = questions.filter((_, number) => number % NATIVE === 0);
    const measured = await page.evaluate(measure, { questions });
    for (const question of asked) {
      const { exact, plain } = measured.found[questions.indexOf(question)];
      const { after, before } = native(question);
      sameHits(exact, after, 1e-4, question);
      sameHits(plain, before, 1e-4, question);
    }
    const count = questions.length;
    console.log(`${asked.length} of ${count} test questions: hits with answers in f32 are the command's`);
    const { first, ten, all } = measured.agreement;
    console.log(
      `answers in int8 beside f32, ${count} questions: the same first answer for ${first}, the same ` +
        `ten in any order for ${all}, ${((10 * ten) / count).toFixed(1)} % of the ten in common`,
    );
    assert.ok(first >= 0.97 * count && ten >= 9.8 * count);
    console.log(`in ${measured.browser}, SIMD ${measured.simd}:`);
    for (const [what, time] of Object.entries(measured.times)) {
      console.log(`  ${what.padEnd(34)} ${time}`);
    }

    await checkDamaged(address);

    // The server ends, too: nothing can come from anywhere.
    network = false;
    await context.setOffline(true);
    server.kill();
    console.log("offline:");
    await checkQuestions(page, OFFLINE.slice(0, 1));
    await page.reload();
    await page.getByText("Ready. Works without a network").waitFor();
    await checkQuestions(page, OFFLINE.slice(1));
    const another = await context.newPage();
    another.setDefaultTimeout(120_000);
    watch(another);
    await another.goto(address);
    await checkQuestions(another, OFFLINE.slice(0, 1));
    await pictures(another, "offline");
    assert.deepEqual(troubles, []);
    console.log(`passed; pictures are in ${path.dirname(site)}`);
  } catch (error) {
    for (const [at, page] of context.pages().entries()) {
      await page.screenshot({ path: path.join(path.dirname(site), `failed-${at}.png`) });
    }
    throw error;
  } finally {
    server.kill();
    await context.close();
    rmSync(profile, { recursive: true, force: true });
    rmSync(path.join(site, "exact"), { recursive: true, force: true });
  }
}

await main();
