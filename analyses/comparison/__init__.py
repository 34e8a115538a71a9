"""One of several models that stand side by side: what is measured of each."""
