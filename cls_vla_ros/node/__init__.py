"""The ROS 2 side: topics, services, parameters, the lifecycle.

Data flows one way: message -> observation_buffer (latest of each source, converted by images and
joints) -> inference_loop -> PolicyServer.infer -> messages.
"""

from cls_vla_ros.console.ros import check_ros

check_ros()
