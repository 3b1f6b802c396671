"""What rclpy leaves out of its lifecycle nodes."""

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Let the service change_state answer no, where rclpy raises: nobody would catch that.

    Args:
        node: whose service it is.
    """
    change_state = node._service_change_state.callback

    def answer(request: ChangeState.Request, response: ChangeState.Response):
        try:
            return change_state(request, response)
        except RuntimeError as error:
            node.get_logger().error(f"the transition {request.transition.id} failed: {error}")
            response.success = False
            return response

    node._service_change_state.callback = answer
