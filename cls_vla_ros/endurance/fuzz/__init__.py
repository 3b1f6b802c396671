"""Malformed messages, into the code that takes messages and into the node."""
