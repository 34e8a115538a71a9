"""Fitting mixing matrices by descent: data as second moments, gradients, optimizers, floors.

Batches of independent problems, the batch axis first: parameters ``(batch, p)``, matrices
``(batch, d, d)``. Everything is numpy; torch is asked for gradients that no method writes out.
"""
