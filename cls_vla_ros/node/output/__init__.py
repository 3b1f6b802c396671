"""Messages out: checked, played by time, published."""
