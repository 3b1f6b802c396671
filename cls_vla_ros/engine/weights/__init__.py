"""The policy's weights as the engine wants them, and how they are read out of it."""
