"""Who commands the arm: this node, while it is armed and nobody else has taken the arm over."""

from collections.abc import Callable
from threading import RLock

HOW_TO_ARM = 'ros2 service call /arm std_srvs/srv/SetBool "{data: true}"'


class Authority:
    """Thread-safe. Arming is asked for by the user, and granted once the arm has been looked at.

    Whoever has taken the arm over keeps it until each that took it has given it back.
    """

    def __init__(self, on_change: Callable[[bool, str], None]) -> None:
        """Start unarmed.

        Args:
            on_change: takes whether this node commands from now on, and why in words. It is called
                before the call that changes this returns.
        """
        self._on_change = on_change
        self._lock = RLock()
        self._is_wanted = self._is_granted = self._commands = False
        self._why_unarmed = f"not armed: {HOW_TO_ARM}"
        self._takers: list[str] = []

    @property
    def commands(self) -> bool:
        """Whether this node commands the arm."""
        return self._commands

    @property
    def is_pending(self) -> bool:
        """Whether arming was asked for, and not granted yet."""
        return self._is_wanted and not self._is_granted

    @property
    def is_taken_over(self) -> bool:
        """Whether somebody else has the arm."""
        return bool(self._takers)

    @property
    def why(self) -> str:
        """Why this node does not command; empty if it does."""
        with self._lock:
            if self._takers:
                return f"taken over by {' and '.join(self._takers)}"
            if self.is_pending:
                return "to be armed with the next good observation"
            return "" if self._is_granted else self._why_unarmed

    def want(self, armed: bool, why: str = "") -> None:
        """Ask for arming, or disarm at once.

        Args:
            armed: which.
            why: it is disarmed, in words, if nobody asked for it.
        """
        with self._lock:
            # What disarmed it first stays the reason.
            if not armed and (why or self._is_wanted):
                self._why_unarmed = f"{why or 'not armed'}: {HOW_TO_ARM}"
            self._is_wanted = armed
            self._is_granted = self._is_granted and armed
            self._apply()

    def grant(self) -> None:
        """Arm, if that is asked for."""
        with self._lock:
            self._is_granted = self._is_wanted
            self._apply()

    def revoke(self) -> None:
        """Others may have had the arm meanwhile: look at it anew before it is commanded."""
        with self._lock:
            self._is_granted = False
            self._apply()

    def take_over(self, who: str, taken: bool) -> None:
        """Somebody takes the arm, or gives it back.

        Args:
            who: in words.
            taken: which.
        """
        with self._lock:
            others = [taker for taker in self._takers if taker != who]
            self._takers = [*others, who] if taken else others
            self._apply()

    def _apply(self) -> None:
        commands = self._is_granted and not self._takers
        if commands != self._commands:
            self._commands = commands
            self._on_change(commands, self.why or "armed")
