"""What the node says of itself: log and /diagnostics."""
