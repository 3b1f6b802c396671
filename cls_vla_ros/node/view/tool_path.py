"""Where a chunk would move the tool: forward kinematics by Rerun's own reading of a URDF."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


class RobotModel:
    """A robot_description, and the chain of joints from its root to a tool."""

    def __init__(self, urdf: str | Path, recording, moved: list[str], tool: str = "") -> None:
        """Read it, and log its links and meshes.

        Args:
            urdf: its text, or its file, beside which its meshes may be. Those of packages are
                found by AMENT_PREFIX_PATH.
            recording: Rerun's stream.
            moved: the joints that the policy moves.
            tool: a link; empty for the one behind most of `moved`.

        Raises:
            ValueError: it is no URDF, or has no such link.
        """
        from rerun.urdf import UrdfTree

        with tempfile.TemporaryDirectory() as folder:
            file = urdf if isinstance(urdf, Path) else Path(folder, "robot.urdf")
            if file is not urdf:
                file.write_text(urdf)
            try:
                tree = UrdfTree.from_file_path(file, entity_path_prefix="robot")
            except Exception as error:  # of Rust's reader, whatever it is
                raise ValueError(f"robot_description is not used: {error}") from error
            tree.log_urdf_to_recording(recording)
        self.root = tree.root_link().name
        self.joints = {joint.name: joint for joint in tree.joints()}
        parents = {joint.child_link: joint for joint in self.joints.values()}
        if tool and tool not in parents:
            raise ValueError(f"the URDF has no link {tool!r} below {self.root}: {sorted(parents)}")
        chains = {link: self._chain(link, parents) for link in ([tool] if tool else parents)}
        self.tool = max(chains, key=lambda link: _reach(chains[link], moved))
        self._path = chains[self.tool]

    @staticmethod
    def _chain(link: str, parents: dict) -> list:
        chain = []
        while link in parents:
            chain.append(parents[link])
            link = parents[link].parent_link
        return chain[::-1]

    def moves(self, names: list[str]) -> bool:
        """Whether any of these joints moves the tool."""
        return bool({joint.name for joint in self._path} & set(names))

    def position_of_tool(self, positions: Mapping[str, float]) -> np.ndarray:
        """(3,) m, in the frame of the root.

        Args:
            positions: of joints, rad or m; one that is missing is at 0.
        """
        point = np.zeros(3)
        for joint in reversed(self._path):
            value = self._value(joint, positions)
            made = joint.compute_transform(value, clamp=False)
            x, y, z, w = np.asarray(made.quaternion.as_arrow_array().to_pylist()[0])
            v, axis = point, np.array([x, y, z])
            turned = v + 2 * np.cross(axis, np.cross(axis, v) + w * v)
            point = turned + np.asarray(made.translation.as_arrow_array().to_pylist()[0])
        return point

    def transforms(self, positions: Mapping[str, float]) -> dict:
        """Rerun's Transform3D of each joint that is named, and of those that mimic them."""
        return {
            name: joint.compute_transform(self._value(joint, positions), clamp=False)
            for name, joint in self.joints.items()
            if (joint.mimic.joint if joint.mimic else name) in positions
        }

    @staticmethod
    def _value(joint, positions: Mapping[str, float]) -> float:
        if joint.mimic:
            lead = positions.get(joint.mimic.joint, 0.0)
            return joint.mimic.multiplier * lead + joint.mimic.offset
        return float(positions.get(joint.name, 0.0))


def _reach(chain: list, moved: list[str]) -> tuple[int, int]:
    """Of two links behind the same joints, the one further out: a flange's tool, not a flange."""
    return len({joint.name for joint in chain} & set(moved)), len(chain)
