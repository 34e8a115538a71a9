"""Commands that are no analysis of matrices; built from ``run`` like the others."""
