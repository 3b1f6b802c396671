# Source this in a shell for the environment of `make`: the virtual environment and the package built in it.
#   . dev/env.sh && policy_node --ros-args --params-file config/demo.yaml
# It replaces the variables of a ROS that is sourced already: its packages do not mix with the wheels.
_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
export PATH="$_root/.venv/bin:$_root/install/cls_vla_ros/lib/cls_vla_ros:$PATH"
export AMENT_PREFIX_PATH="$_root/install/cls_vla_ros:$_root/.venv"
export PYTHONPATH="$_root/install/cls_vla_ros/lib/python3.12/site-packages"
export LD_LIBRARY_PATH="$_root/install/cls_vla_ros/lib"
for _package in control_msgs bond; do
  if [ -d "$_root/install/$_package" ]; then # built by dev/build.sh where no wheel has it
    export AMENT_PREFIX_PATH="$_root/install/$_package:$AMENT_PREFIX_PATH"
    export PYTHONPATH="$_root/install/$_package/lib/python3.12/site-packages:$PYTHONPATH"
    export LD_LIBRARY_PATH="$_root/install/$_package/lib:$LD_LIBRARY_PATH"
  fi
done
export PYTHONSAFEPATH=1 # the package is the built one, also in the folder of its sources
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
unset CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO _root _package
