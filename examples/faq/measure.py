#!/usr/bin/env python3
"""How often the right answer to the FAQ's test questions comes first.

usage: measure.py STORE.db        (a store that was trained on faq.json, as `make demo` makes)

Asks every question of faq_test.json with the `projection` command, with and without the
projection, and prints recall and mean reciprocal rank.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = ROOT / "target/release/projection"
MODEL = ROOT / "models/all-MiniLM-L6-v2"


def main(store):
    clusters = json.loads((ROOT / "examples/faq/faq_test.json").read_text())["clusters"]
    pairs = [(question, c["answer"]) for c in clusters for question in c["questions"]]
    ranks = {"plain cosine": [], "multi_head": []}
    for question, answer in pairs:
        command = [COMMAND, "query", store, question, "-k", str(len(clusters)), "--json"]
        output = subprocess.check_output([*command, "--model-dir", MODEL])
        (hit,) = (hit for hit in json.loads(output)["hits"] if hit["text"] == answer)
        ranks["multi_head"].append(hit["rank"])
        ranks["plain cosine"].append(hit["cosine_rank"])
    print(f"{len(pairs)} questions, {len(clusters)} answers")
    for name, of in ranks.items():
        first, five = (100 * sum(rank <= k for rank in of) / len(of) for k in (1, 5))
        reciprocal = sum(1 / rank for rank in of if rank <= 10) / len(of)
        print(f"{name:14s} recall@1 {first:5.1f} %   recall@5 {five:5.1f} %   MRR@10 {reciprocal:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
