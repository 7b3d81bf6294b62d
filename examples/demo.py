#!/usr/bin/env python3
"""Trains a projection on the FAQ and asks it three questions in four languages.

`make demo` builds the programs and runs this. The store stays in target/demo, so that a
second run only asks. Exits with 1 where two programs disagree.
"""

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECTION = "target/release/projection"
STORE = "target/demo/lda.db"
MODEL = "models/all-MiniLM-L6-v2"
QUESTIONS = [
    "Can ten workers call the same loaded model simultaneously?",
    "I retyped half of my answers, must I begin again from an empty database?",
    "Will anything I type be uploaded somewhere?",
]
PROGRAMS = {
    "C": "target/examples/c/ask",
    "Go": "target/examples/go/ask",
    "Rust": "target/release/ask",
}
HITS = 3


def run(*command, show=True):
    """Runs a command in the project's folder and gives what it printed."""
    if show:
        quoted = [f'"{part}"' if " " in part else part for part in command]
        print("$", *quoted, flush=True)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with status {done.returncode}")
    return done.stdout


def train():
    """Brings the store up to date and gives the id of the projection trained on it."""
    (ROOT / STORE).parent.mkdir(parents=True, exist_ok=True)
    print(run(PROJECTION, "import", STORE, "examples/faq/faq.json"), end="")
    print(run(PROJECTION, "embed", STORE, "--model-dir", MODEL), end="")
    marker = (ROOT / STORE).with_name("trained_on")
    version = hashlib.sha256((ROOT / "examples/faq/faq.json").read_bytes()).hexdigest()
    if marker.exists() and marker.read_text().split()[0] == version:
        return marker.read_text().split()[1]
    trained = run(PROJECTION, "train", STORE, "--name", "faq", "--json")
    projection = str(json.loads(trained)["id"])
    marker.write_text(f"{version} {projection}\n")
    print(f"trained projection {projection}")
    return projection


def float32(number):
    """The float32 that a program printed in as few digits as tell it from its neighbours."""
    return struct.unpack("f", struct.pack("f", number))[0]


def as_lines(answer):
    """What the example programs print, from the command line's JSON."""
    weights = sorted(answer["weights"], key=lambda head: -head["weight"])[:3]
    lines = [f"weight\t{head['cluster_id']}\t{float32(head['weight']):.6f}" for head in weights]
    for hit in answer["hits"]:
        text = hit["text"].replace("\n", " ")
        lines.append(f"{hit['rank']}\t{float32(hit['score']):.6f}\t{hit['answer_id']}\t{text}")
    return lines


def main():
    projection = train()
    for question in QUESTIONS:
        print()
        query = [PROJECTION, "query", STORE, question, "-k", str(HITS), "--projection", projection]
        query += ["--model-dir", MODEL]
        print(run(*query), end="", flush=True)
        expected = as_lines(json.loads(run(*query, "--json", show=False)))
        for language, program in PROGRAMS.items():
            found = run(program, STORE, projection, MODEL, question, str(HITS), show=False)
            if found.splitlines() != expected:
                print(f"{language} disagrees:\n{found}\nthe command line:", *expected, sep="\n")
                sys.exit(1)
        print(f"The programs in {', '.join(PROGRAMS)} give the same weights, answers and scores.")


if __name__ == "__main__":
    main()
