"""`check`: what the node would find, at the robot or in a recording; nothing is published."""
