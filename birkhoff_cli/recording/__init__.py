"""Recording mixing matrices of torch models in your own process; `record` is the front door."""
