"""Python's logging into ROS's: what the lower rooms say is then where the user looks."""

import logging

FORMAT = "%(name)s: %(message)s"  # the severity is ROS's to print


class _ToRos(logging.Handler):
    def __init__(self, ros_logger) -> None:
        super().__init__()
        self._ros_logger = ros_logger

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # One call for each severity: rclpy refuses that one place in the code logs with changing
        # severity.
        if record.levelno >= logging.ERROR:
            self._ros_logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._ros_logger.warning(text)
        else:
            self._ros_logger.info(text)


def forward_logging(ros_logger) -> None:
    """Send the warnings of all libraries, and our own information, to a ROS logger.

    Args:
        ros_logger: as node.get_logger() returns it.
    """
    logging.basicConfig(
        handlers=[_ToRos(ros_logger)], level=logging.WARNING, format=FORMAT, force=True
    )
    logging.getLogger("cls_vla_ros").setLevel(logging.INFO)
