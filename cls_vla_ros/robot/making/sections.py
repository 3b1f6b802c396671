"""The text of a params file in sections: what is replaced leaves the comments of the rest."""

import re

INDENT = "    "  # of what stands below ros__parameters
_SECTION = re.compile(rf"^{INDENT}([\w]+):")


class Sections:
    """A params file for one node, by the first part of its parameters' names."""

    def __init__(self, text: str) -> None:
        """Take it apart.

        Args:
            text: YAML with `/**:`, `ros__parameters:` and four spaces before each section.
        """
        self._head: list[str] = []
        self._sections: dict[str, list[str]] = {}
        lines = self._head
        for line in text.splitlines():
            if match := _SECTION.match(line):
                lines = self._sections.setdefault(match[1], [])
            lines.append(line)

    def title(self, lines: list[str]) -> None:
        """Put comments in place of those at the top."""
        rest = [line for line in self._head if not line.startswith("#")]
        self._head = [*(f"# {line}" for line in lines), *rest]

    def replace(self, name: str, lines: list[str]) -> None:
        """Put a section in place of another, or at the end; drop it if there are no lines.

        Args:
            name: of the section.
            lines: the first one with its name; indented from the section on.
        """
        if lines:
            self._sections[name] = [INDENT + line for line in lines]
        else:
            self._sections.pop(name, None)

    def __str__(self) -> str:
        lines = [*self._head, *(line for s in self._sections.values() for line in s)]
        return "\n".join(lines) + "\n"
