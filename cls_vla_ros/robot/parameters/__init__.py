"""The parameters: what there are, what they may be, and how a file of them is read."""
