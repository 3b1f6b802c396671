"""A policy does the tasks itself, its prefix reused by one rule or another."""
