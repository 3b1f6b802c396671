"""The contract with a robot, without ROS: the node, a training box and a remote robot share it."""
