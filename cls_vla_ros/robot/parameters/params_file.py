"""What a params file says, for tools that do what the node does without running it, or ROS."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from cls_vla_ros.robot.parameters.parameters import Parameters
from cls_vla_ros.robot.parameters.spec import Spec, Value
from cls_vla_ros.robot.settings import NODE_NAME

ROS_PARAMETERS = "ros__parameters"
WILDCARDS = ("*", "**")


class FileParameters(Parameters):
    """The parameters with the values of a file."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        """Check the values.

        Args:
            values: what is set, by full name.
        """
        self._set, self._values = values, {}
        super().__init__()

    def get(self, name: str) -> Value:
        """The value of a declared parameter; [] for a list that is not set."""
        return self._values[name]

    def _declare_one(self, spec: Spec) -> str:
        value = self._set.get(spec.name, spec.default_value)
        problem = spec.type_problem(value) or spec.problem(value)
        self._values[spec.name] = spec.default_value if problem else spec.meant(value)
        return problem

    def _given(self) -> Iterable[str]:
        return self._set

    def _say(self, problem: str) -> None:
        """`read` raises with it, and that is soon enough for a tool."""


@contextmanager
def parameters_of(path: Path, overrides: dict[str, Value] | None = None) -> Iterator[Parameters]:
    """The node's parameters with the values of a file, checked and read as by the node.

    Args:
        path: YAML, as for `ros2 run --params-file`. Its entries may be for the node by name, in
            any one namespace, or by a wildcard; a later one takes the place of an earlier one.
        overrides: values that take the place of the file's, by name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not YAML with ROS parameters, or has nothing for the node, or has it in
            several namespaces.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no params file {path}")
    try:
        content = yaml.load(path.read_text(), _Loader)
        entries = dict(_entries(content))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(
            f"{path} is no params file: expected YAML as /**: ros__parameters: ..., {text}"
        ) from error
    ours = {name: values for name, values in entries.items() if _is_ours(name)}
    if not ours:
        raise ValueError(
            f"{path} has nothing for the node {NODE_NAME!r}, but for {sorted(entries)}: its "
            f"parameters stand under /**, {NODE_NAME}, or /<namespace>/{NODE_NAME}"
        )
    namespaces = {name for name in ours if name.rpartition("/")[2] == NODE_NAME}
    if len(namespaces) > 1:
        raise ValueError(
            f"{path} is for several nodes, {sorted(namespaces)}: which one is meant nobody can "
            "tell. Give a file with one of them"
        )
    values = {name: value for entry in ours.values() for name, value in entry.items()}
    yield FileParameters(values | (overrides or {}))


def _entries(content: object, name: str = "") -> Iterator[tuple[str, dict[str, Value]]]:
    """The nodes of a file, by full name without the first slash, with their parameters.

    Raises:
        TypeError: it has not the form of a params file.
    """
    if not isinstance(content, dict):
        raise TypeError(f"got {type(content).__name__} where {name or 'the file'} has its nodes")
    for key, below in content.items():
        if key == ROS_PARAMETERS:
            yield name, dict(_flat(below))
        else:
            yield from _entries(below, f"{name}/{str(key).strip('/')}".lstrip("/"))


def _flat(values: object, prefix: str = "") -> Iterator[tuple[str, Value]]:
    if not isinstance(values, dict):
        raise TypeError(f"got {type(values).__name__} where {prefix or ROS_PARAMETERS} has names")
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:  # as ROS: not set
            yield f"{prefix}{key}", value


def _is_ours(name: str) -> bool:
    return name.rpartition("/")[2] in (NODE_NAME, *WILDCARDS)


class _Loader(yaml.SafeLoader):
    """With the numbers that ROS's reader takes, and PyYAML's does not: 1e3, 1e-3."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789")
)
