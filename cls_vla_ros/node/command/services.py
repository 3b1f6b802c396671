"""The services of a configured node: what they are asked, and what they answer."""

from collections.abc import Callable

from std_srvs.srv import SetBool, Trigger


class Services:
    """reset, pause, stop, arm and takeover. They run in the executor's thread."""

    def __init__(
        self,
        *,
        reset: Callable[[str], int],
        pause: Callable[[bool], None],
        arm: Callable[[bool], str],
        take_over: Callable[[str, bool], None],
    ) -> None:
        """Take what they do.

        Args:
            reset: begins an episode for a reason, and returns its number.
            pause: ends what is executed, or goes on.
            arm: arms or disarms, and returns why not; empty if it does.
            take_over: takes who has the arm, and whether it is taken or given back.
        """
        self._reset, self._pause, self._arm, self._take_over = reset, pause, arm, take_over

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

    def arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Command the arm from now on, or no longer."""
        problem = self._arm(request.data)
        response.success = not problem
        response.message = problem or ("armed" if request.data else "not armed")
        return response

    def takeover(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """The caller has the arm, or gives it back."""
        self._take_over("the service takeover", request.data)
        response.success = True
        response.message = "taken over" if request.data else "given back"
        return response
