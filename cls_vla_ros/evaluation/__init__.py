"""How well the gate knows, and what reuse costs, on recorded episodes."""
