"""What `make demo` and `replay` run: a recording played to the real node. Needs ROS."""

from cls_vla_ros.console.ros import check_ros

check_ros()
