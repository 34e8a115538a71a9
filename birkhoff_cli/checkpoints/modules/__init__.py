"""What one module of a code base does: its tensors become a `Connection`."""
