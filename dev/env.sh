# Source this for the environment of `make`: the virtual environment, and the built package in it.
#   . dev/env.sh && policy_node --help
root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
. "$root/.venv/bin/activate"
export AMENT_PREFIX_PATH="$root/install/cls_vla_ros:$root/.venv"
export PYTHONPATH="$root/install/cls_vla_ros/lib/python3.12/site-packages"
export LD_LIBRARY_PATH="$root/install/cls_vla_ros/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PATH="$root/install/cls_vla_ros/lib/cls_vla_ros:$PATH"
unset root
