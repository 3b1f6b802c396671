"""The services of a configured node: what they are asked, and what they answer."""

from collections.abc import Callable

from std_srvs.srv import SetBool, Trigger


class Services:
    """reset, pause and stop. They run in the executor's thread."""

    def __init__(self, reset: Callable[[str], int], pause: Callable[[bool], None]) -> None:
        """Take what they do.

        Args:
            reset: begins an episode for a reason, and returns its number.
            pause: ends what is executed, or goes on.
        """
        self._reset, self._pause = reset, pause

    def reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """A new episode."""
        response.success = True
        response.message = f"episode {self._reset('the reset service was called')} begins"
        return response

    def pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """No more inferences, or on again."""
        self._pause(request.data)
        response.success = True
        response.message = "paused" if request.data else "going on"
        return response

    def stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """As pause: for a button that does one thing."""
        self._pause(True)
        response.success = True
        response.message = "stopped: call the service pause with data: false to go on"
        return response
