// Installs the packed package into an empty folder outside the checkout and uses it there: in Node,
// Bun, Deno, workerd and Chromium, with TypeScript, and through bundlers. Every one projects and
// searches a conformance case. Run by scripts/test_js.sh.
//
// CHROMIUM names the browser if it is not /usr/bin/chromium.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import * as esbuild from "esbuild";
import { chromium } from "playwright-core";
import * as vite from "vite";
import webpack from "webpack";

import { conformance, dumped, idRows, npy, repository } from "../helpers.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const CASE = "d384_18-t0.1";
const PASSED = /^passed: 6 queries in each of (\d) builds$/m;
const LIMIT = { timeout: 120_000 };
const NAME = "@unifyweaver/projection";
const STRICT = ["--strict", "--noUncheckedIndexedAccess", "--types", "", "--target", "es2022"];
const TYPES = {
  ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json",
  ".wasm": "application/wasm",
};

const user = fs.mkdtempSync(path.join(tmpdir(), "projection-js-"));
const at = (...names) => path.join(user, ...names);

/** Runs a program in the user's folder and returns what it prints. */
async function run(program, ...args) {
  const { stdout } = await promisify(execFile)(program, args, {
    cwd: user,
    timeout: 60_000,
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", NODE_PATH: "" },
  });
  return stdout;
}

function passed(printed, builds = "4") {
  assert.match(printed, PASSED);
  assert.equal(PASSED.exec(printed)[1], builds);
}

/** A program of the test's packages. Scripts of packages do not run, so bun's is found by hand. */
function tool(name) {
  const bun = path.join(here, "node_modules/@oven");
  return name === "bun"
    ? path.join(bun, fs.readdirSync(bun)[0], "bin/bun")
    : path.join(here, "node_modules/.bin", name);
}

/** Packs a package into the user's folder and returns the file. */
async function pack(folder) {
  return at(JSON.parse(await run("npm", "pack", "--json", "--pack-destination", user, folder))[0].filename);
}

/** Makes the user's folder: the installed package, the programs, and the case. */
async function prepare() {
  fs.cpSync(path.join(here, "programs"), user, { recursive: true });
  fs.writeFileSync(at("package.json"), '{ "name": "user", "private": true }\n');
  const packed = await pack(path.join(here, "../.."));
  await run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--offline", packed);
  assert.deepEqual(fs.readdirSync(at("node_modules")).filter((name) => !name.startsWith(".")), ["@unifyweaver"]);

  const folder = path.join(conformance, "cases", CASE);
  const rows = (name) => {
    const matrix = npy(folder, name);
    return Array.from({ length: matrix.rows }, (_, row) => [...matrix.row(row)]);
  };
  fs.copyFileSync(path.join(dumped, "models", `${CASE}.safetensors`), at("model.safetensors"));
  fs.writeFileSync(at("case.json"), JSON.stringify({
    queries: rows("queries.npy"),
    projected: rows("projected.npy"),
    // As text, because JSON does not hold all of them.
    answerIds: idRows(folder, "answer_ids.txt").flat().map(String),
    answers: rows("answers.npy").flat(),
    hits: idRows(folder, "projected_ids.txt").map((ids) => ids.map(String)),
    scores: rows("projected_scores.npy"),
  }));

  // One program, type-checked and compiled as both kinds of module.
  for (const kind of ["mts", "cts"]) {
    fs.copyFileSync(at("check.ts"), at(`check.${kind}`));
    await run(tool("tsc"), ...STRICT, "--lib", "es2022", "--module", "nodenext", `check.${kind}`);
  }
  await run(tool("tsc"), ...STRICT, "--lib", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--noEmit", "check.ts");
}

process.on("exit", () => fs.rmSync(user, { recursive: true, force: true }));
await prepare();

test("the package has types, licences and the crates' version", async () => {
  const folder = at("node_modules", NAME);
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  assert.ok(fs.readFileSync(path.join(repository, "Cargo.toml"), "utf8").includes(`\nversion = "${version}"\n`));
  for (const name of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "index.d.ts", "index.d.cts"]) {
    assert.ok(fs.existsSync(path.join(folder, name)), name);
  }
  // Programs with the types of the DOM may pass its objects.
  await run(tool("tsc"), ...STRICT, "--lib", "es2022,dom", "--module", "esnext", "--moduleResolution", "bundler",
    "--noEmit", "dom.ts");
});

test("an incomplete package is not packed", LIMIT, async () => {
  const copy = at("checkout/bindings/js");
  for (const name of ["bindings/js", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE"]) {
    const filter = (from) => !/^bindings.js.(bench|test)/.test(path.relative(repository, from));
    fs.cpSync(path.join(repository, name), at("checkout", name), { recursive: true, filter });
  }
  await pack(copy);
  for (const [name, change, message] of [
    ["wasm/projection-scalar.wasm", (file) => fs.rmSync(file), /projection-scalar\.wasm: expected WebAssembly/],
    ["wasm/projection-scalar.wasm", (file) => fs.writeFileSync(file, "\0asm"), /projection-scalar\.wasm: expected/],
    ["../../Cargo.toml", (file) => fs.writeFileSync(file, 'version = "9.9.9"\n'), /package\.json: version .*, expected 9\.9\.9/],
  ]) {
    const file = path.join(copy, name);
    const kept = fs.readFileSync(file);
    change(file);
    await assert.rejects(pack(copy), { stderr: message });
    fs.writeFileSync(file, kept);
  }
});

test("the programs that the READMEs show", LIMIT, async () => {
  // They read the files that the main README's commands make, which scripts/test_js.sh makes too.
  for (const name of ["target", "models"]) {
    fs.symlinkSync(path.join(repository, name), at(name));
  }
  for (const [readme, printed] of [
    ["docs/programming.md", /^384 values, \d+ routing weights\n[^]*\n8\n$/],
    ["bindings/js/README.md", /^(0\.\d{3} .+\n){3}$/],
  ]) {
    const [, program] = /^```js\n(.*?)^```$/ms.exec(fs.readFileSync(path.join(repository, readme), "utf8"));
    fs.writeFileSync(at("readme.mjs"), program);
    assert.match(await run(process.execPath, "readme.mjs"), printed);
  }
});

test("Node, as an ES module", LIMIT, async () => passed(await run(process.execPath, "command.mjs")));
test("Node, by require", LIMIT, async () => passed(await run(process.execPath, "command.cjs")));
test("Bun", LIMIT, async () => passed(await run(tool("bun"), "run", "command.mjs")));
test("Bun, by require", LIMIT, async () => passed(await run(tool("bun"), "run", "command.cjs")));
test("Deno", LIMIT, async () => {
  passed(await run(tool("deno"), "run", "--cached-only", "--allow-read=.", "command.mjs"));
});

test("workerd, the runtime of Cloudflare's workers, with esbuild's bundle", LIMIT, async () => {
  await esbuild.build({
    absWorkingDir: user,
    entryPoints: ["worker.mjs"],
    outfile: "dist/worker.js",
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["*.wasm", "*.json", "*.safetensors"],
    logLevel: "silent",
  });
  passed(await run(tool("workerd"), "test", "workerd.capnp"), "1");
});

// --- Browsers ---------------------------------------------------------------------------

/** Starts a server that ends with the test. Returns its address. */
async function listen(t, server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

/** Serves the user's folder; engines under /untyped/ come without their type. */
function serve(t) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const file = at(name.replace("/untyped/", "/"));
    if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    const extension = path.extname(file);
    const type = extension === ".wasm" && name.startsWith("/untyped/") ? null : TYPES[extension];
    response.writeHead(200, { "content-type": type ?? "application/octet-stream" });
    fs.createReadStream(file).pipe(response);
  });
  return listen(t, server);
}

/** Opens a page, which says in its title how its check went. Returns how often it compiled streams. */
async function visit(t, address, builds) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(String(error)));
  page.on("console", (message) => troubles.push(message.text()));
  await page.addInitScript(() => {
    const compile = WebAssembly.compileStreaming;
    globalThis.streams = 0;
    WebAssembly.compileStreaming = (source) => ((globalThis.streams += 1), compile(source));
  });
  await page.goto(address);
  await page.waitForFunction(() => document.title !== "").catch((error) => {
    throw new Error(`the page did not finish: ${troubles.join("; ")}`, { cause: error });
  });
  passed(await page.title(), builds);
  return page.evaluate(() => globalThis.streams);
}

function html(name, script, before = "") {
  const page = `<!doctype html><title></title>${before}<script type="module" src="${script}"></script>\n`;
  fs.mkdirSync(path.dirname(at(name)), { recursive: true });
  fs.writeFileSync(at(name), page);
}

test("a page without a bundler compiles streams, and what has no type in memory", LIMIT, async (t) => {
  const address = await serve(t);
  for (const [place, streams] of [["", 5], ["/untyped", 0]]) {
    const imports = { [NAME]: `${place}/node_modules/${NAME}/index.js` };
    html("plain.html", "page-default.js", `<script type="importmap">${JSON.stringify({ imports })}</script>`);
    assert.equal(await visit(t, `${address}/plain.html`), streams);
  }
});

test("esbuild, with the files copied beside the bundle and with its file loader", LIMIT, async (t) => {
  const options = { absWorkingDir: user, bundle: true, format: "esm", logLevel: "silent" };
  await esbuild.build({ ...options, entryPoints: ["page-default.js"], outdir: "esbuild" });
  fs.cpSync(at("node_modules", NAME, "wasm"), at("esbuild/wasm"), { recursive: true });
  await esbuild.build({
    ...options, entryPoints: ["page-file.js"], outdir: "esbuild", loader: { ".wasm": "file" }, publicPath: "/esbuild",
  });
  html("esbuild/default.html", "page-default.js");
  html("esbuild/file.html", "page-file.js");
  // In a format without import.meta nobody knows where the files are.
  fs.writeFileSync(at("lost.js"), `import { load } from "${NAME}";\nload().catch(console.log);\n`);
  await esbuild.build({ ...options, entryPoints: ["lost.js"], outfile: "lost.cjs", format: "cjs", platform: "node" });
  assert.match(await run(process.execPath, "lost.cjs"), /EngineError: wasm: .* pass load the file[^]*INVALID_ARGUMENT/);

  const address = await serve(t);
  await visit(t, `${address}/esbuild/default.html`);
  await visit(t, `${address}/esbuild/file.html`, "1");
});

test("webpack, for browsers and for Node", LIMIT, async (t) => {
  const common = { context: user, mode: "production", cache: false };
  const stats = await promisify(webpack)([
    { ...common, entry: "./page-default.js", output: { path: at("webpack"), filename: "page.js" } },
    { ...common, entry: "./command.mjs", target: "node", output: { path: at("webpack-node"), filename: "command.cjs" } },
  ]);
  assert.ok(!stats.hasErrors(), stats.toString());
  html("webpack/index.html", "page.js");
  await visit(t, `${await serve(t)}/webpack/index.html`);
  passed(await run(process.execPath, "webpack-node/command.cjs"));
});

test("Vite, built and in development", LIMIT, async (t) => {
  const options = { root: user, base: "./", configFile: false, logLevel: "error" };
  html("vite.html", "page-default.js");
  html("vite-url.html", "page-vite.js");
  const rolldownOptions = { input: [at("vite.html"), at("vite-url.html")] };
  await vite.build({ ...options, build: { outDir: "vite", rolldownOptions } });
  const built = await serve(t);
  await visit(t, `${built}/vite/vite.html`);
  await visit(t, `${built}/vite/vite-url.html`, "1");

  // On a port of the system's choice, which Vite itself does not take.
  const server = http.createServer();
  const dev = await vite.createServer({ ...options, base: "/", server: { middlewareMode: true, hmr: { server } } });
  t.after(() => dev.close());
  server.on("request", dev.middlewares);
  const address = await listen(t, server);
  await visit(t, `${address}/vite-url.html`, "1");
  await visit(t, `${address}/vite.html`);
});
