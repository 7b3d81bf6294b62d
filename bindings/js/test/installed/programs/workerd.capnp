using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (services = [(name = "main", worker = .main)]);

const main :Workerd.Worker = (
  # Before workers had FinalizationRegistry.
  compatibilityDate = "2024-09-23",
  modules = [
    (name = "worker.js", esModule = embed "dist/worker.js"),
    (name = "@unifyweaver/projection/wasm/projection.wasm",
     wasm = embed "node_modules/@unifyweaver/projection/wasm/projection.wasm"),
    (name = "case.json", json = embed "case.json"),
    (name = "model.safetensors", data = embed "model.safetensors"),
  ],
);
