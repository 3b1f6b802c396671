"""The real node under load, for long, with faults and rubbish. Needs ROS."""

from cls_vla_ros.console.ros import check_ros

check_ros()
