"""Random numbers and the reference mathematics.

Everything here gives the same bits on every machine: no BLAS, no vectorised `exp`, no
random distribution that a NumPy release may change. Sums are `math.fsum` (correctly
rounded), square roots and divisions are IEEE, `exp` is computed in decimal.
"""

import decimal
import math
import zlib

import numpy as np

_EXP = decimal.Context(prec=40)


class Stream:
    """A reproducible stream of numbers, one per name: adding a stream changes no other."""

    def __init__(self, name):
        self._bits = np.random.PCG64(zlib.crc32(name.encode()))

    def uniform(self, *shape):
        """Numbers in [-1, 1) with 53 random bits."""
        raw = self._bits.random_raw(math.prod(shape)) >> np.uint64(11)
        return (raw.astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)

    def bell(self, *shape):
        """Roughly normal numbers: sums of four uniform ones."""
        return sum(self.uniform(*shape) for _ in range(4))

    def unit(self, d):
        """A random direction."""
        return unit(self.bell(d))

    def shuffled(self, items):
        """The items in a random order."""
        keys = self._bits.random_raw(len(items))
        return [items[i] for i in np.argsort(keys, kind="stable")]


def dot(a, b):
    return math.fsum((np.asarray(a, np.float64) * np.asarray(b, np.float64)).tolist())


def norm(a):
    return math.sqrt(dot(a, a))


def unit(a):
    return np.asarray(a, np.float64) / norm(a)


def cosine(a, b):
    return dot(a, b) / (norm(a) * norm(b))


def exp(x):
    return float(decimal.Decimal(x).exp(_EXP))


def softmax(scores, temperature):
    scaled = [score / temperature for score in scores]
    top = max(scaled)
    powers = [exp(value - top) for value in scaled]
    total = math.fsum(powers)
    return np.array([power / total for power in powers])


def matvec(matrix, vector):
    products = np.asarray(matrix, np.float64) * np.asarray(vector, np.float64)
    return np.array([math.fsum(row) for row in products.tolist()])


def project(heads, query, temperature):
    """The projected query and the weights, for heads in ascending cluster id."""
    weights = softmax([cosine(query, head.centroid) for head in heads], temperature)
    terms = [head.answer if head.W is None else matvec(head.W, query) for head in heads]
    return matvec(np.stack(terms, axis=1), weights), weights


def rank(vector, answers, ids, k):
    """The k best answers by cosine: score descending, then id ascending.

    Also returns the smallest gap between neighbours in the order, up to and including the
    first answer left out. Answers that are the same vector (or a power-of-two multiple, to
    which rounding does the same) are ties by intention and have no gap.
    """
    scored = sorted(
        ((-cosine(vector, answer), number, row)
         for row, (answer, number) in enumerate(zip(answers, ids))),
        key=lambda entry: entry[:2],
    )
    gap = math.inf
    for (a, _, row_a), (b, _, row_b) in zip(scored[:k], scored[1:]):
        if not _same_direction(answers[row_a], answers[row_b]):
            gap = min(gap, b - a)
    best = scored[:k]
    return [number for _, number, _ in best], [-score for score, _, _ in best], gap


def _same_direction(a, b):
    pivot = int(np.argmax(np.abs(a)))
    ratio = float(b[pivot]) / float(a[pivot])
    return ratio > 0 and math.frexp(ratio)[0] == 0.5 and np.array_equal(
        np.asarray(a, np.float64) * ratio, np.asarray(b, np.float64))
