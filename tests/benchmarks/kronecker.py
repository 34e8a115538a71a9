"""Eigenvalues of Kronecker products: ours, by factors, against those of the products.

    python tests/benchmarks/kronecker.py [matrices] [rounds]

CPU seconds (user and system) of whole processes, medians over rounds in which both ways run in
turn: ``birkhoff spectrum --engine 1`` as installed, and numpy with ``linalg.eigvals`` of the drawn
matrices, which is what birkhoff 0.1 did. Then the largest distance between the eigenvalues of both.
"""

import statistics
import sys

import numpy as np
from processes import BIRKHOFF, run

PLAIN = "--plain"  # how this file calls itself
NUMBERS = [int(word) for word in sys.argv[1:] if word.isdigit()]
MATRICES, ROUNDS = (*NUMBERS, *(100_000, 5)[len(NUMBERS) :])
METHODS = ("kromhc:d=4", "kromhc:d=9", "kromhc:d=16", "krom-go-mhc:d=16", "krom-sum:d=16")


def source(specification, samples):
    from birkhoff_cli.analyses.core.source import Drawn, Draws
    from birkhoff_cli.analyses.parameterizations.krom_go_mhc import KromGoMHC
    from birkhoff_cli.analyses.parameterizations.krom_sum import KromSum
    from birkhoff_cli.analyses.parameterizations.kromhc import KromHC

    word, _, d = specification.partition(":d=")
    method = {"kromhc": KromHC, "krom-go-mhc": KromGoMHC, "krom-sum": KromSum}[word]
    return Drawn(method(int(d)), Draws(samples=samples))


def plain(specification, samples):
    """The same histogram of the same draws."""
    cells = np.zeros((201, 201))
    for h in source(specification, samples):
        z = np.linalg.eigvals(h).ravel()
        cells += np.histogram2d(z.real, z.imag, bins=201, range=[[-1, 1], [-1, 1]])[0]


def distance(specification):
    """Between the sorted eigenvalues of a thousand matrices."""
    from birkhoff_cli.analyses.probes.sample import Eigenvalues

    drawn = source(specification, 1000)
    found = np.concatenate([re + 1j * im for re, im in Eigenvalues(drawn).read(range(1))])
    expected = np.linalg.eigvals(next(iter(drawn)))
    apart = np.abs(found[..., :, None] - expected[..., None, :]).min(-1)
    return apart.max()


def main():
    print(f"{MATRICES:,} matrices; median of {ROUNDS} rounds, CPU s of whole processes")
    print(f"{'':18}{'birkhoff':>10}{'eigvals':>9}{'ratio':>7}{'apart':>10}")
    for word in METHODS:
        ours = [BIRKHOFF, "spectrum", "--engine", "1", "--method", word, "-n", MATRICES, "-q"]
        theirs = [sys.executable, __file__, PLAIN, word, MATRICES]
        rounds = [(run(*ours)[0], run(*theirs)[0]) for _ in range(ROUNDS)]
        mine, other = (statistics.median(r[k] for r in rounds) for k in range(2))
        print(f"{word:18}{mine:10.2f}{other:9.2f}{other / mine:7.1f}{distance(word):10.1e}")


if __name__ == "__main__":
    if PLAIN in sys.argv:
        plain(sys.argv[2], int(sys.argv[3]))
    else:
        main()
