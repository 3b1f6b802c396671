#!/bin/sh
# Print the path of a CPython 3.12, or say what to install. $PYTHON, if set, is tried first.
#
# ROS 2 Jazzy is built for 3.12, and lerobot 0.6 needs at least that.
is_312() {
  [ "$("$1" -c 'import platform as p; print(p.python_implementation(), *p.python_version_tuple()[:2])' 2>/dev/null)" \
    = "CPython 3 12" ]
}
for candidate in \
  "$PYTHON" python3.12 python3 python \
  "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12 \
  /usr/local/bin/python3.12 /opt/python*/bin/python3.12 \
  "$(command -v uv >/dev/null && uv python find 3.12 2>/dev/null)"
do
  # A name on the PATH may be a pyenv shim for a version that is not selected: only running it tells.
  if [ -n "$candidate" ] && is_312 "$candidate"; then
    command -v "$candidate"
    exit 0
  fi
done
echo "No CPython 3.12 was found: install one (Ubuntu 24.04: apt install python3.12-venv python3.12-dev; elsewhere:" \
  "uv python install 3.12, or pyenv install 3.12), or name one with make PYTHON=/path/to/python3.12" >&2
exit 1
