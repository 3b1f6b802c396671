"""Does the checkpoint fit, and what does it know of its data? Without its weights."""

from pathlib import Path

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen, read_seen
from cls_vla_ros.policy.checkpoint.load_policy import load_all_but_weights
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.robot.load_server import check_against_policy
from cls_vla_ros.robot.policy_source import open_policy
from cls_vla_ros.robot.settings import Settings


def look_at_checkpoint(settings: Settings, findings: Findings) -> dict[str, Seen]:
    """Compare it with the settings.

    Args:
        settings: from the parameters.
        findings: get what does not fit.

    Returns:
        The ranges of state and action in its data, by feature; empty if it does not say.
    """
    if settings.policy_server:
        return _ask_server(settings, findings)
    path = Path(resolve_policy_path(settings.policy_path)).expanduser()
    where = path if path.exists() else settings.policy_path
    try:

        def check(config) -> None:
            try:
                check_against_policy(settings, config)
            except ValueError as error:  # and on: what it knows of its data is worth a look too
                findings.bad.append(str(error))

        folder, config, *_ = load_all_but_weights(where, settings.device, check)
        if not config.cls_head_trained:
            findings.notes.append(
                "the checkpoint has no trained CLS head: the policy runs, and the similarity "
                "means nothing (add_cls_head, then lerobot-train)"
            )
        return read_seen(folder)
    except (OSError, ValueError) as error:
        findings.bad.append(str(error))
        return {}


def _ask_server(settings: Settings, findings: Findings) -> dict[str, Seen]:
    try:
        server, seen = open_policy(settings, 0, "check", lambda text: None)
    except (OSError, ValueError) as error:
        findings.bad.append(str(error))
        return {}
    server.close()
    return seen
