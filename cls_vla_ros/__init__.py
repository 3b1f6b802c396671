"""Run a CLS-gated SmolVLA on a robot that speaks ROS 2.

Three rooms, and calls point downward only:

- `node`: topics, services and parameters; the only room that imports rclpy
- `inference`: the runtime around the policy; no ROS
- `policy`: the model, a lerobot plugin; no ROS

`tools` holds the commands, which may use all three.
"""
