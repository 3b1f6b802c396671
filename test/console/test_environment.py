"""A terminal without the virtual environment is told so, by every command of the workspace."""

import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

from cls_vla_ros.console import environment

COMMANDS = sorted(Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros").iterdir())


def test_what_is_missing_is_named_with_the_mend(monkeypatch):
    monkeypatch.setattr(environment, "NEEDED", ("torch", "no_such_module"))
    with pytest.raises(SystemExit) as end:
        environment.check_environment()
    assert "has no no_such_module" in end.value.code
    assert ". .venv/bin/activate" in end.value.code


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_each_command_asks_before_it_imports(command):
    lines = command.read_text().splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    assert imports[0] == "from cls_vla_ros.console.environment import check_environment"
    assert lines.index("check_environment()") < lines.index(imports[1])


def test_without_torch_there_is_no_traceback():
    code = (
        "import sys; sys.argv = ['check']; sys.modules['torch'] = None\n"
        f"exec(compile(open({str(COMMANDS[0])!r}).read(), 'command', 'exec'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "check: " in ended.stderr
    assert "has no torch" in ended.stderr
    assert "Traceback" not in ended.stderr
