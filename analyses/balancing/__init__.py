"""Sinkhorn balancing: what goes in, how it converges, what variants and roundings change."""
