import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cls_vla_ros.engine.triton import ops

CASES = Path(__file__).parent / "test_ops.py"


@pytest.mark.parametrize(
    "which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)], ids=["parts", "whole"]
)
def test_the_kernels_pass_their_tests_under_tritons_interpreter(which):
    pytest.importorskip("triton")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", str(CASES), "--import-mode=importlib", "-m", which],
        env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_importing_the_operations_needs_no_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    spec = importlib.util.spec_from_file_location("triton_ops_again", ops.__file__)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    problem = again.TritonOps.problem(None, torch.device("cuda"), torch.bfloat16)
    assert "triton cannot be imported" in problem
