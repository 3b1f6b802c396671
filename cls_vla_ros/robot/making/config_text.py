"""The params file: a robot's, or the template, with what the checkpoint and the robot say."""

from pathlib import Path

from lerobot.utils.constants import ACTION, OBS_STATE

from cls_vla_ros.console.share import share
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.policy.checkpoint.dataset_stats import read_seen
from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.robot.demo_policy import DEMO, resolve_policy_path
from cls_vla_ros.robot.making.around import Around
from cls_vla_ros.robot.making.cameras import camera_sections
from cls_vla_ros.robot.making.joints import action_sections, state_section
from cls_vla_ros.robot.making.sections import Sections
from cls_vla_ros.robot.parameters.params_file import parameters_of

ASK = "  # ??"


def robots() -> list[str]:
    """Those that have a file."""
    return sorted(file.stem for file in share("config", "robots").glob("*.yaml"))


def config_text(policy: str, robot: str | None, task: str, around: Around) -> str:
    """A params file as text.

    Args:
        policy: the checkpoint.
        robot: one of `robots()`: its state, action and limits; None for what the rest suggests.
        task: the instruction; may be empty.
        around: what runs.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it cannot be used, or is not of such a robot.
    """
    path = Path(resolve_policy_path(policy)).expanduser()
    where = path if path.exists() else policy
    config, seen = load_config(where), read_seen(where)
    state_size = config.robot_state_feature.shape[0] if config.robot_state_feature else 0
    action_size = config.action_feature.shape[0]
    file = share("config", "robots", f"{robot}.yaml") if robot else share("config/template.yaml")
    sections = Sections(file.read_text())
    sections.title(_title(policy, robot))
    shown = path.resolve() if policy != DEMO and path.is_dir() else policy
    sections.replace("policy", ["policy:", f"  path: {shown}"])
    shown = f"task: {_quoted(task)}"
    sections.replace("task", [shown if task else f"{shown}{ASK} in the words of the dataset"])
    names, cameras = camera_sections(picture_names(config), around)
    sections.replace("cameras", names)
    sections.replace("camera", cameras)
    if robot:
        _check_sizes(file, robot, state_size, action_size)
        return str(sections)
    state, joints = state_section(state_size, seen.get(OBS_STATE), around)
    sections.replace("state", state)
    for name, lines in action_sections(action_size, seen.get(ACTION), joints, around).items():
        sections.replace(name, lines)
    return str(sections)


def _title(policy: str, robot: str | None) -> list[str]:
    lines = [f"Made by make_config for {policy}" + (f", from {robot}.yaml." if robot else ".")]
    if robot:
        lines.append(
            "?? Are order, units, offset, sign and dt_s those of your dataset and of your driver?"
        )
    lines.append(
        "What is marked with ?? nobody could know: look at it, then ask "
        "`check --params-file` this file."
    )
    return lines


def _check_sizes(file: Path, robot: str, state_size: int, action_size: int) -> None:
    with parameters_of(file, {"policy.path": "later"}) as parameters:
        settings = parameters.read()
    state, action = settings.state.joints, settings.action.names
    if (len(state), len(action)) != (state_size, action_size):
        raise ValueError(
            f"the checkpoint has {state_size} values of state and {action_size} of action, and "
            f"{robot} has {len(state)} and {len(action)}: {state}, {action}. Another --robot, or "
            "leave it out"
        )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
