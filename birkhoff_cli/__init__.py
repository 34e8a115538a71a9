"""Command line of birkhoff: words in, tables and figures out; no mathematics."""
