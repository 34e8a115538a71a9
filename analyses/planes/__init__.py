"""The plane of a cycle: matrices drawn there, and the cells that points hit."""
