"""Arming, taking over, stopping, and runs that are asked for: services, a topic, an action."""
