"""A PolicyServer at the far end of a websocket: protocol and client. Neither torch nor lerobot."""
