"""Run a CLS-gated SmolVLA on a robot that speaks ROS 2.

Each folder is a room, and imports only rooms that stand before it here:

- `console`: what all commands share
- `policy`: the model and the gate, a lerobot plugin
- `engine`: the inference, with static shapes
- `inference`: PolicyServer, the runtime around it
- `robot`: the contract with a robot
- `recordings`, `evaluation`, `simulation`: what is learned, judged and tried without a robot
- `serve`: one policy for many robots
- `node`: the lifecycle node
- `benchmark`, `endurance`, `demo`: the whole, measured, tormented and shown

ROS is imported in `node`, `endurance` and `demo` alone.
"""
