"""The commands, beside the node itself."""
