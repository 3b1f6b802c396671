"""What comes in: pictures, joints, how old they are, how healthy, and one observation of all."""
