"""Is the arm where the policy knows it? Looked at before it is commanded."""

import numpy as np

from cls_vla_ros.inference.observation import OBS_STATE
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.checking.values import units_of_state_values, value_problem, values_of
from cls_vla_ros.robot.observation.state_values import units_of_state
from cls_vla_ros.robot.settings import Settings


class Preflight:
    """Compares the state with the range that it had in the dataset."""

    def __init__(self, settings: Settings, seen: dict[str, Seen]) -> None:
        """Take what is known.

        Args:
            settings: from the parameters.
            seen: the ranges in the policy's data, by feature; without observation.state nothing is
                compared.
        """
        self._names = settings.state.joints
        self._units = units_of_state_values(settings)
        self._map = units_of_state(settings.state)
        self._seen = seen.get(OBS_STATE)

    def look(self, state: np.ndarray) -> tuple[list[str], list[str]]:
        """Where is it?

        Args:
            state: (S,) in policy units.

        Returns:
            What forbids to command it, since unit, offset or sign of a joint is likely to be
            wrong; and what is only worth a look.
        """
        ros = self._map.to_ros(np.asarray(state, np.float64))
        found: dict[bool, list[str]] = {True: [], False: []}
        for value in values_of(self._names, self._units, self._map, self._seen, ros):
            is_bad, text = value_problem(value)
            if text:
                found[is_bad].append(text)
        return found[True], found[False]
