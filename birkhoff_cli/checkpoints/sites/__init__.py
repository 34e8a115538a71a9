"""What formats share about sites: names without wrappers, their order, values, settings."""
