const { readFileSync } = require("node:fs");
const { check } = require("./check.cjs");

check("model.safetensors", JSON.parse(readFileSync("case.json", "utf8"))).then(console.log);
