"""What the sources say, and what the checkpoint knows of them, before any weights are read."""
