"""A warning that never raises, whatever filters say: training goes on."""

import sys
import warnings


def warn(text: str) -> None:
    """Say it once, as a warning; where warnings are errors, on standard error."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        print(f"RuntimeWarning: {text}", file=sys.stderr)
