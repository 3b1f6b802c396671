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
) -> None:
    """Refuse episodes that a policy was trained on, or say so.

    Args:
        config: of the policy.
        episodes: read once for their states and actions.
        use_trained_on: whether they are wanted.
        console: to say what is not as it should be.

    Raises:
        ValueError: some were trained on, and that is not wanted.
    """
    known = set(config.cls_episodes_trained_on)
    if not known:
        console.print(
            "[bold red]the checkpoint does not say what it was trained on: make sure that these "
            "episodes were not among it[/bold red]"
        )
        return
    fingerprints = {episode.name: fingerprint_of(episode) for episode in episodes}
    if used := [name for name, fingerprint in fingerprints.items() if fingerprint in known]:
        text = f"the policy was trained on {len(used)} of these episodes ({', '.join(used[:5])})"
        if not use_trained_on:
            raise ValueError(
                f"{text}: it is surer of them than of others, so thresholds would be too strict "
                "and figures too good. Take others, or say --use-trained-on"
            )
        console.print(f"[bold red]{text}: what follows looks better than it is[/bold red]")
    if unknown := [name for name, fingerprint in fingerprints.items() if fingerprint is None]:
        console.print(
            f"[bold red]{len(unknown)} episodes ({', '.join(unknown[:5])}) have no actions, so "
            "nobody can tell whether they were trained on: say --action-topic[/bold red]"
        )
