"""A params file from what a checkpoint and a robot say."""
