"""Measurements of residual mixing matrices: arrays in, one table out.

A file in this folder is a subcommand of ``birkhoff``; a folder is vocabulary they share.

Conventions, held everywhere:

- A mixing matrix acts on the left, ``x_out[i] = sum_j H[i, j] x_in[j]``: row i says where
  output stream i comes from.
- Batch axes come first, the two stream axes last: ``(..., d, d)``.
- Layers run from the embedding to the head; a composite is ``H[L-1] @ ... @ H[1] @ H[0]``.
- Geometry is float64; a trace keeps the dtype in which its model computed H.
"""
