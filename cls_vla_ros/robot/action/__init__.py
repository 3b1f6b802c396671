"""What goes out: limits of position, velocity and step, and chunks played by time."""
