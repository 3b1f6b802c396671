"""`make_config`: a params file from a checkpoint and the robot that runs."""
