import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cls_vla_ros.simulation.processes import run_all
from cls_vla_ros.simulation.record_sim import parse_args
from cls_vla_ros.simulation.seeds import parse_seeds

INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from cls_vla_ros.simulation.processes import run_all

# A shell starts what runs in its background with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def work(folder, number):
    (Path(folder) / f"begun_{number}").touch()
    try:
        time.sleep(60)
    finally:
        (Path(folder) / f"tidied_{number}").touch()

if __name__ == "__main__":
    try:
        calls = [(sys.argv[1], number) for number in range(5)]
        list(run_all(work, calls, jobs=1, doing="sleeping", tell=str))
    except KeyboardInterrupt:
        sys.exit(7)
"""


def test_seeds():
    assert parse_seeds("7") == [7]
    assert parse_seeds("3:6") == [3, 4, 5]
    for text in ("", "a", "6:3", "1:1", "-1", "1:2:3"):
        with pytest.raises(argparse.ArgumentTypeError, match="seeds"):
            parse_seeds(text)


def test_the_command_line_says_how_to_record(capsys):
    how = parse_args(["out", "--events", "--action-noise", "0.2", "--after-success", "9"]).how
    assert (how.events, how.action_noise, how.after_success) == ("random", 0.2, 9)
    assert parse_args(["out", "--standard-events"]).how.events == "standard"
    assert parse_args(["out"]).how.events == "none"
    with pytest.raises(SystemExit):
        parse_args(["out", "--frames", "1000"])
    assert "1 to 166 frames, not 1000" in capsys.readouterr().err


def test_what_a_call_raises_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(run_all(divmod, [(1, 0)], jobs=1, doing="dividing", tell=str))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_tidies_up_in_all_its_processes(tmp_path, signal_number):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen([sys.executable, script, tmp_path])
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun_0").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal_number)
    assert process.wait(30) == 7
    assert sorted(p.name for p in tmp_path.glob("*_*")) == ["begun_0", "tidied_0"]


def test_ctrl_c_reaches_all_processes_and_leaves_no_traceback(tmp_path):
    script = tmp_path / "script.py"
    idle = ("time.sleep(60)", "time.sleep(60 if number < 5 else 0)")
    script.write_text(
        INTERRUPTED.replace("jobs=1", "jobs=6").replace("range(5)", "range(6)").replace(*idle)
    )
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, script, tmp_path], stderr=said, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("begun_*"))) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)  # the sixth process waits for another call
        for _ in range(2):  # an impatient one
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 7
    assert len(list(tmp_path.glob("tidied_*"))) == 6
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_simulator_that_is_missing_is_said_with_what_to_do(tmp_path):
    (tmp_path / "metaworld.py").write_text("raise ModuleNotFoundError('no', name='metaworld')")
    said = run_tool(tmp_path)
    assert said == (
        "record_sim: metaworld is not installed: pip install -r requirements/sim.txt\n"
    )


def test_a_renderer_that_is_missing_is_said_with_what_to_do(tmp_path):
    """PyOpenGL without libOSMesa.so raises this where MuJoCo is imported."""
    (tmp_path / "mujoco.py").write_text("raise AttributeError('no glGetError')")
    (tmp_path / "metaworld.py").write_text("import mujoco")
    said = run_tool(tmp_path)
    assert said.startswith("record_sim: MuJoCo cannot render with MUJOCO_GL=osmesa: no glGetErr")
    assert "apt install libosmesa6" in said


def run_tool(first_on_path: Path) -> str:
    code = (
        f"import sys; sys.path.insert(0, {str(first_on_path)!r}); sys.argv[1:] = ['out']; "
        "from cls_vla_ros.simulation.record_sim import main; main()"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"MUJOCO_GL": "osmesa"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    return done.stderr
