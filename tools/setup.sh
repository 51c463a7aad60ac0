#!/bin/sh
# Make .venv from the lock, and install the system packages that pyrender needs when we may.
set -eu
PYTHON="${PYTHON:-python3.11}"
command -v "$PYTHON" >/dev/null 2>&1 || PYTHON=python3
"$PYTHON" - <<'PY' || { echo "setup: synthstudio needs Python 3.11 or 3.12; install it (Debian: apt-get install python3 python3-venv) or run: make PYTHON=/path/to/python3.11" >&2; exit 1; }
import sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PY
"$PYTHON" -c "import ensurepip, venv" 2>/dev/null || {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    else
        echo "setup: Python's venv module is missing; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
}
# EGL is needed by the pyrender backend alone; everything else runs without it.
if ! ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' || ! ldconfig -p | grep -q 'libEGL_mesa\|libEGL_nvidia'; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "setup: installing libegl1 and Mesa for the pyrender backend"
        apt-get update -qq && apt-get install -y -qq libegl1 libgl1-mesa-dri >/dev/null
    else
        echo "setup: no EGL; the pyrender backend stays off. To have it: sudo apt-get install libegl1 libgl1-mesa-dri" >&2
    fi
fi
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
echo "setup: installing the locked packages into .venv (a few minutes the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
touch .venv/.ready
