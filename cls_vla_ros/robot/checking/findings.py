"""What is wrong, and what nobody but the user can know."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """In words, each with what to do.

    Attributes:
        bad: would make the node hold, or hurt.
        doubts: are for the user to look at.
        notes: are worth knowing.
    """

    bad: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
