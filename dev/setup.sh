#!/usr/bin/env bash
# Make the virtual environment .venv with everything pinned, ROS 2 included. Quick when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=$(cat requirements/*.txt dev/setup.sh | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.ready 2>/dev/null)" = "$wanted" ]; then
  touch .venv/.ready  # for make, which compares times
  exit 0
fi

python=$(dev/find_python.sh)
for tool in cc c++ git; do
  command -v "$tool" >/dev/null || {
    echo "No $tool was found: install a C and C++ compiler and git (Debian, Ubuntu: apt install build-essential git)" >&2
    exit 1
  }
done
# Left over from an interrupted set-up, from another Python, or from before the folder was moved.
.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || rm -rf .venv

echo "== Setting up .venv with $python"
echo "== Downloading ROS 2 Jazzy, lerobot and PyTorch with its CUDA libraries: 2.2 GB once, 6 GB of disk, some minutes"
[ -d .venv ] || "$python" -m venv .venv || {
  rm -rf .venv
  echo "The venv module of $python does not work (Debian, Ubuntu: apt install python3.12-venv)" >&2
  exit 1
}
# A ROS of the user's own, sourced in this shell, must not be mixed with the wheels.
env -u PYTHONPATH .venv/bin/python -m pip install --disable-pip-version-check \
  -r requirements/runtime.txt -r requirements/ros-wheels.txt -r requirements/dev.txt -c requirements/constraints.txt |
  { grep -v "^Requirement already satisfied" || true; }
echo "$wanted" >.venv/.ready
echo "== .venv is ready"
