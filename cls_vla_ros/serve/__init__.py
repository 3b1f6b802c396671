"""A fleet: Ray Serve around PolicyServer, spoken to as openpi's servers are. No ROS."""
