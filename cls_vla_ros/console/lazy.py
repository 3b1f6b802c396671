"""A package's names, each imported when somebody asks for it.

A robot without a model uses some modules of the packages around the policy, and has neither torch
nor lerobot, which their other modules import.
"""

from collections.abc import Callable
from importlib import import_module


def lazy(package: str, modules: dict[str, str]) -> Callable[[str], object]:
    """The package's `__getattr__` (PEP 562).

    Args:
        package: its name.
        modules: by each of its public names the module that has it: relative, or a full name.
    """

    def find(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = modules[name]
        full = module if module.startswith("cls_vla_ros.") else f"{package}.{module}"
        return getattr(import_module(full), name)

    return find
