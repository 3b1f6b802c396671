"""Robots with recordings against a server: `make fleet`, and what `benchmark --serve` drives."""
