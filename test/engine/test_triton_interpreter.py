import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
CASES = Path(__file__).parent / "test_triton_ops.py"


def test_the_kernels_pass_their_tests_under_tritons_interpreter():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", str(CASES), "--import-mode=importlib"],
        env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_importing_the_operations_needs_no_triton():
    hidden = (
        "import sys; sys.modules['triton'] = None; import cls_vla_ros.engine.triton_ops as ops"
    )
    check = "import torch; print(ops.TritonOps.problem(None, torch.device('cpu'), torch.bfloat16))"
    run = subprocess.run(
        [sys.executable, "-c", f"{hidden}; {check}"], capture_output=True, text=True, timeout=120
    )
    assert "triton cannot be imported" in run.stdout, run.stderr
