"""Thresholds and limits for a checkpoint, from episodes that it was not trained on."""
