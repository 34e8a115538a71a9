"""Statistics that can be merged: add a numbered block, merge two in order, read columns.

However blocks are cut into ranges, the same set of blocks gives the same numbers, bit for bit.
"""
