#!/usr/bin/env bash
# colcon build against the ROS wheels in .venv. With a ROS of your own, plain `colcon build` does it (README).
set -euo pipefail
cd "$(dirname "$0")/.."
. dev/env.sh
echo "== Building the messages and the package"
# Both hold the path of this folder.
[ "$(cat install/.built 2>/dev/null)" = "$PWD" ] || rm -rf build install log
export AMENT_PREFIX_PATH="$PWD/.venv" CMAKE_PREFIX_PATH="$PWD/.venv"
# There are no wheels of control_msgs and bond; where they come from elsewhere, those are used.
packages=(.)
PYTHONPATH= .venv/bin/python -c "import control_msgs.action" 2>/dev/null || packages+=(dev/control_msgs)
PYTHONPATH= .venv/bin/python -c "import bond.msg" 2>/dev/null || packages+=(dev/bond)
log=$(mktemp)
if ! .venv/bin/python -m colcon build --base-paths "${packages[@]}" --symlink-install --event-handlers console_cohesion+ --cmake-args \
  "-DCMAKE_PROJECT_INCLUDE=$PWD/dev/wheels.cmake" "-DPython3_EXECUTABLE=$PWD/.venv/bin/python" -DBUILD_TESTING=OFF \
  >"$log" 2>&1; then
  cat "$log"
  exit 1
fi
rm "$log"
# Links to files that are no more in the sources: whoever walks the package would stumble over them.
find install -xtype l -delete
echo "$PWD" >install/.built
echo "== Built"
