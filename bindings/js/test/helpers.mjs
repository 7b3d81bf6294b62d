// Reading what tests/conformance and the other languages' tests hold.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../../", import.meta.url));
export const conformance = path.join(repository, "tests/conformance");
/** Written by the Rust test `dump`. */
export const dumped = path.join(repository, "target/tests");

export const exact = (...names) => new Uint8Array(fs.readFileSync(path.join(...names)));

export function lines(...names) {
  const text = fs.readFileSync(path.join(...names), "utf8");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** A matrix of float32 or float64 in a .npy file, row-major. */
export function npy(...names) {
  const bytes = fs.readFileSync(path.join(...names));
  const start = bytes[6] === 1 ? 10 + bytes.readUInt16LE(8) : 12 + bytes.readUInt32LE(8);
  const header = bytes.toString("latin1", 0, start);
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((n) => n.trim() !== "");
  const [rows, columns] = shape.map(Number);
  const type = /'descr': '(<f[48])'/.exec(header)[1];
  if (header.includes("True") || columns === undefined) {
    throw new Error(`${path.join(...names)}: expected a row-major matrix`);
  }
  const Type = type === "<f4" ? Float32Array : Float64Array;
  const values = new Type(new Uint8Array(bytes.subarray(start)).buffer);
  return { rows, columns, values, row: (i) => values.subarray(i * columns, (i + 1) * columns) };
}

export const idRows = (...names) =>
  lines(...names).map((line) => line.trim().split(/\s+/).map((id) => idOf(BigInt(id))));

export const idOf = (big) => (Number.isSafeInteger(Number(big)) ? Number(big) : big);

/** Random numbers that are the same in every run. */
export class Random {
  constructor(seed) {
    this.state = BigInt(seed);
  }

  next() {
    const mask = (1n << 64n) - 1n;
    this.state = (this.state + 0x9e3779b97f4a7c15n) & mask;
    let z = this.state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    return z ^ (z >> 31n);
  }

  below(n) {
    return Number(this.next() % BigInt(n));
  }
}
