"""How fast and how exact the inference is, beside stock lerobot, and whether memory grows."""
