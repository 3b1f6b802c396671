"""Who commands the arm, and whether it does what it is told."""
