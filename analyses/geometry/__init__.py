"""Regions of the complex plane, permutations, the polytope, and small batched linear algebra."""
