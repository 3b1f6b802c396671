"""Bags and LeRobotDatasets as what the node sees."""
