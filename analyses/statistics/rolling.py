"""Numbers along a run beside those just before them.

Source: go-mHC, arXiv:2604.02309, G.2: the jitter of gradient norms.
"""

import numpy as np

from birkhoff_cli.analyses.core.arrays import Array

EPS = 1e-8
"""Added to the mean that a jitter is divided by."""

BLOCK = 10_000
"""Numbers whose windows are taken at a time."""


def jitter(values: Array, window: int) -> Array:
    """Standard deviation over mean of the last ``window`` numbers, ``(n,)`` of ``(n,)``.

    The deviation is that of the window itself (divided by its length); the mean has 1e-8 added.
    NaN where there are fewer numbers, or one of them is NaN.
    """
    ratios = np.full(len(values), np.nan)
    if len(values) >= window:
        views = np.lib.stride_tricks.sliding_window_view(np.asarray(values, float), window)
        ratios[window - 1 :] = views.std(1) / (views.mean(1) + EPS)
    return ratios


def median_before(values: Array, window: int, least: int) -> Array:
    """Median of up to ``window`` numbers before each, ``(n,)``; NaN before there are ``least``.

    Args:
        values: ``(n,)`` finite numbers.
        window: how far back.
        least: numbers that a median needs.
    """
    padded = np.concatenate((np.full(window, np.nan), values))
    medians = np.full(len(values), np.nan)
    for start in range(max(least, 1), len(values), BLOCK):
        stop = min(start + BLOCK, len(values))
        views = np.lib.stride_tricks.sliding_window_view(padded[start : stop + window - 1], window)
        medians[start:stop] = np.nanmedian(views, axis=1)
    return medians
