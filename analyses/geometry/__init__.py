"""Curves in the complex plane, permutations, the polytope, and small batched linear algebra."""
