"""The ROS 2 side: topics, services, parameters. The only room that imports rclpy.

Data flows one way: message -> observation_buffer (latest of each source, converted by images and
joints) -> inference_loop -> PolicyServer.infer -> messages.
"""
