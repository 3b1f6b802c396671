"""Whether a policy and episodes are such that figures of them mean something."""

from collections.abc import Sequence

from rich.console import Console

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.recordings.episodes import Episode, fingerprint_of


def check_head(config: CLSSmolVLAConfig, allow_untrained: bool, console: Console) -> None:
    """Refuse a policy whose similarity is noise, or say so.

    Args:
        config: of the policy.
        allow_untrained: whether that is wanted.
        console: to say it.

    Raises:
        ValueError: the head is untrained, and that is not wanted.
    """
    if config.cls_head_trained:
        return
    text = "the CLS head of this checkpoint is untrained: its similarity is noise"
    if not allow_untrained:
        raise ValueError(f"{text}. Train it, or say --allow-untrained")
    console.print(f"[bold red]{text}, and so is everything below[/bold red]")


def check_provenance(
    config: CLSSmolVLAConfig,
    episodes: Sequence[Episode],
    use_trained_on: bool,
    console: Console,
    *,
    is_judged: bool = False,
) -> list[str | None]:
    """Refuse episodes that a policy was trained on, or say so.

    Args:
        config: of the policy.
        episodes: read once for their states and actions.
        use_trained_on: whether they are wanted.
        console: to say what is not as it should be.
        is_judged: whether those that it was calibrated on are refused as well.

    Returns:
        The fingerprint of each episode; None for one without actions.

    Raises:
        ValueError: some were trained or calibrated on, and that is not wanted.
    """
    if not config.cls_episodes_trained_on:
        console.print(
            "[bold red]the checkpoint does not say what it was trained on: make sure that these "
            "episodes were not among it[/bold red]"
        )
    fingerprints = [fingerprint_of(episode) for episode in episodes]
    known = {"trained": config.cls_episodes_trained_on}
    if is_judged:
        known["calibrated"] = config.cls_episodes_calibrated_on
    for verb, known_ones in known.items():
        used = _names(episodes, [found in known_ones for found in fingerprints])
        if not used:
            continue
        text = f"the policy was {verb} on {len(used)} of these episodes ({', '.join(used[:5])})"
        if not use_trained_on:
            raise ValueError(
                f"{text}: it is surer of them than of others, so thresholds would be too strict "
                "and figures too good. Take others, or say --use-trained-on"
            )
        console.print(f"[bold red]{text}: what follows looks better than it is[/bold red]")
    unknown = _names(episodes, [found is None for found in fingerprints])
    if unknown and any(known.values()):
        console.print(
            f"[bold red]{len(unknown)} episodes ({', '.join(unknown[:5])}) have no actions, so "
            f"nobody can tell whether they were {' or '.join(known)} on: say --action-topic"
            "[/bold red]"
        )
    return fingerprints


def _names(episodes: Sequence[Episode], which: Sequence[bool]) -> list[str]:
    return [episode.name for episode, is_it in zip(episodes, which, strict=True) if is_it]
