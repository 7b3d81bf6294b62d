#!/usr/bin/env python3
"""Makes reference.json: texts and their vectors, computed in float64.

    python3 crates/projection-embed/tests/reference.py models/all-MiniLM-L6-v2

Needs NumPy only. The tokenizer (vocab.txt) and the network are written out here once more,
independently of the crate, after the published descriptions of BERT, WordPiece and
sentence-transformers.
"""

import json
import math
import struct
import sys
import unicodedata
from pathlib import Path

import numpy as np

TEXTS = [
    "",
    " \t\n ",
    "How do I read a CSV file?",
    "Reading comma-separated values from disk",
    "The cat sat on the mat.",
    "What's the airspeed velocity of an unladen swallow?!",
    "café CAFÉ cafe\u0301 naïve Ångström ÅÄÖ straße",
    "日本語のテキスト and 中文 mixed with English",
    "Привет, мир! Γειά σου Κόσμε, مرحبا بالعالم",
    "emoji 😀🚀 and symbols ∑∫√ €100 — “quoted” … zero\u200bwidth nul\x00 bad\ufffd",
    "fn main() { println!(\"{:?}\", vec![1u8; 3]); } // https://example.org/?q=a&b=c#d",
    "[CLS] special [SEP] tokens [MASK] and [UNK] in a text",
    "x" * 100 + " " + "y" * 101 + " pneumonoultramicroscopicsilicovolcanoconiosis",
    "one two three four five six seven eight nine ten " * 24,
    "A very long text is cut off after the model's limit. " * 400,
]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def is_control(char):
    return char not in "\t\n\r" and unicodedata.category(char).startswith("C")


def is_punctuation(char):
    code = ord(char)
    ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_symbol or unicodedata.category(char).startswith("P")


def is_chinese(char):
    code = ord(char)
    blocks = [
        (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
    ]
    return any(first <= code <= last for first, last in blocks)


def words(text):
    """Clean, lower-case without accents, and split at spaces and punctuation."""
    kept = []
    for char in text:
        if char in "\0\ufffd" or is_control(char):
            continue
        if is_chinese(char) or char.isspace():
            char = f" {char} " if is_chinese(char) else " "
        kept.append(char)
    text = unicodedata.normalize("NFD", "".join(kept))
    text = "".join(char for char in text if unicodedata.category(char) != "Mn").lower()
    spaced = "".join(f" {char} " if is_punctuation(char) else char for char in text)
    return spaced.split()


def split_special(text):
    """Special tokens written out in a text stand for themselves."""
    parts = [text]
    for token in SPECIAL:
        next_parts = []
        for part in parts:
            if part in SPECIAL:
                next_parts.append(part)
                continue
            pieces = part.split(token)
            for n, piece in enumerate(pieces):
                next_parts += [token, piece] if n else [piece]
        parts = next_parts
    return parts


def word_pieces(word, vocab):
    """The longest piece of the vocabulary, again and again."""
    if len(word) > 100:
        return ["[UNK]"]
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocab:
                break
        else:
            return ["[UNK]"]
        pieces.append(piece)
        start = end
    return pieces


def tokenize(text, vocab, limit):
    tokens = []
    for part in split_special(text):
        if part in SPECIAL:
            tokens.append(part)
        else:
            for word in words(part):
                tokens += word_pieces(word, vocab)
    return [vocab[t] for t in ["[CLS]", *tokens[: limit - 2], "[SEP]"]]


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            raw = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4")
            arrays[name] = raw.reshape(entry["shape"]).astype(np.float64)
    return arrays


ERF = np.frompyfunc(math.erf, 1, 1)


def gelu(x):
    return 0.5 * x * (1.0 + ERF(x / math.sqrt(2.0)).astype(np.float64))


def embed(tokens, weights, config):
    def dense(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + config["layer_norm_eps"])
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    count, heads = len(tokens), config["num_attention_heads"]
    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][:count]
    x = norm("embeddings.LayerNorm", x + weights["embeddings.token_type_embeddings.weight"][0])
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        q, k, v = (
            dense(f"{layer}.attention.self.{part}", x).reshape(count, heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        mixed = mixed.swapaxes(0, 1).reshape(count, -1)
        x = norm(
            f"{layer}.attention.output.LayerNorm", dense(f"{layer}.attention.output.dense", mixed) + x
        )
        inner = gelu(dense(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", dense(f"{layer}.output.dense", inner) + x)
    vector = x.mean(axis=0)
    return vector / max(np.linalg.norm(vector), 1e-12)


def main():
    model = Path(sys.argv[1] if len(sys.argv) > 1 else "models/all-MiniLM-L6-v2")
    config = json.loads((model / "config.json").read_text())
    limit = json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"]
    lines = (model / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocab = {token: number for number, token in enumerate(lines) if token}
    weights = read_safetensors(model / "model.safetensors")

    cases = []
    for text in TEXTS:
        tokens = tokenize(text, vocab, limit)
        vector = [round(x, 9) for x in embed(tokens, weights, config).tolist()]
        cases.append({"text": text, "vector": vector})
    lines = ",\n".join(json.dumps(case) for case in cases)
    Path(__file__).with_name("reference.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
