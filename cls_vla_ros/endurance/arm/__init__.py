"""An arm and its controllers in simulated time, driven by the node's own output code."""
