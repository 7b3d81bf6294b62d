// Chooses, fetches and compiles a build of the engine. Every failure is an EngineError.

import { bind, checkObject, describe, EngineError, invalid } from "./engine.js";

// A module with a function that counts the bits of each byte in a 128-bit vector.
const SIMD_MODULE = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // a type: () -> v128
  0x03, 0x02, 0x01, 0x00, // a function of this type
  0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b, // splat, popcnt
]);

export function hasSimd() {
  return globalThis.WebAssembly?.validate(SIMD_MODULE) ?? false;
}

// Written out one by one so that bundlers find the files.
const FILES = {
  simd: () => new URL("./wasm/projection.wasm", import.meta.url),
  scalar: () => new URL("./wasm/projection-scalar.wasm", import.meta.url),
  simdEmbedder: () => new URL("./wasm/projection-embedder.wasm", import.meta.url),
  scalarEmbedder: () => new URL("./wasm/projection-embedder-scalar.wasm", import.meta.url),
};

/** Makes `load` for a runtime whose `open` returns the response or the bytes at an address. */
export function loader(open) {
  async function read(address) {
    if (!isAddress(address)) {
      throw invalid(`address: expected a string or a URL, found ${describe(address)}`);
    }
    try {
      const source = await open(address);
      return source instanceof Uint8Array ? source : await found(source).arrayBuffer();
    } catch (error) {
      throw failed(error, address, "IO");
    }
  }

  return async function load(options = {}) {
    checkObject("options", options);
    let { simd, wasm, embedder = false } = options;
    if (wasm === undefined) {
      simd ??= hasSimd();
      wasm = chosen((simd ? "simd" : "scalar") + (embedder ? "Embedder" : ""));
    }
    const [what, code] = isAddress(wasm) ? [wasm, "IO"] : ["wasm", "INVALID_ARGUMENT"];
    try {
      const module = await compiled(isAddress(wasm) ? await open(wasm) : wasm);
      // The engine imports nothing from its host: no clock, no random numbers, no console.
      const instance = await WebAssembly.instantiate(module, {});
      const another = () => {
        try {
          return new WebAssembly.Instance(module, {});
        } catch (error) {
          throw failed(error, "embedder", "INTERNAL");
        }
      };
      return bind(instance, another, simd, read);
    } catch (error) {
      throw failed(error, what, code);
    }
  };
}

function chosen(name) {
  try {
    return FILES[name]();
  } catch (cause) {
    const why = "this runtime or bundle does not know where the package's files are";
    throw new EngineError("INVALID_ARGUMENT", `wasm: ${why}: pass load the file`, { cause });
  }
}

async function compiled(source) {
  if (source instanceof WebAssembly.Module) {
    return engine(source);
  }
  if (typeof Response !== "undefined" && source instanceof Response) {
    const type = found(source).headers.get("content-type");
    if (WebAssembly.compileStreaming && type?.startsWith("application/wasm")) {
      return engine(await WebAssembly.compileStreaming(source));
    }
    source = await source.arrayBuffer();
  }
  return engine(await WebAssembly.compile(source));
}

function engine(module) {
  if (!WebAssembly.Module.exports(module).some(({ name }) => name === "model_from_bytes")) {
    throw new WebAssembly.CompileError("a WebAssembly module of another program");
  }
  return module;
}

function found(response) {
  const what = response.url || "response";
  if (!response.ok) {
    throw new EngineError("IO", `${what}: status ${response.status}`);
  }
  // Many servers send their start page in place of a missing file.
  if (response.headers.get("content-type")?.startsWith("text/html")) {
    throw new EngineError("IO", `${what}: expected a file, found a page (text/html)`);
  }
  return response;
}

function isAddress(value) {
  return typeof value === "string" || value instanceof URL;
}

function failed(cause, what, code) {
  if (cause instanceof EngineError) {
    return cause;
  }
  // Some browsers have no WebAssembly in a strict mode.
  if (!globalThis.WebAssembly || cause instanceof WebAssembly.CompileError) {
    code = "INVALID_ARGUMENT";
  } else if (cause instanceof RangeError) {
    code = "OUT_OF_MEMORY";
  }
  return new EngineError(code, `${what}: ${cause?.message ?? cause}`, { cause });
}
