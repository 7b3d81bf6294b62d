"""The NumPy side of the benchmark `loading`, which starts this program and talks to it.

    loading_peer.py FOLDER

Every line read from standard input is answered by one line: the milliseconds that it took to
load all arrays of FOLDER by numpy.load into two matrices, centroids and answers, and the sum
of the first value of every file in the order of their names.
"""

import os
import sys
from time import perf_counter

import numpy as np


def load(folder):
    # What a program does that has no database: list the folder, sort by number, load.
    names = [name for name in os.listdir(folder) if name.endswith("_centroid.npy")]
    names.sort(key=lambda name: int(name.split("_")[3]))
    centroids = [np.load(os.path.join(folder, name)) for name in names]
    answers = [np.load(os.path.join(folder, name.replace("centroid", "answer"))) for name in names]
    return names, np.stack(centroids), np.stack(answers)


def main():
    folder = sys.argv[1]
    for _ in sys.stdin:
        start = perf_counter()
        names, centroids, answers = load(folder)
        time = perf_counter() - start
        first = {name: value for name, value in zip(names, centroids[:, 0])}
        first |= {name.replace("centroid", "answer"): v for name, v in zip(names, answers[:, 0])}
        total = 0.0
        for name in sorted(first):
            total += float(first[name])
        print(time * 1e3, repr(total), flush=True)


if __name__ == "__main__":
    main()
