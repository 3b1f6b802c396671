"""Meta-World: record its experts, train on them. Needs the simulator."""
