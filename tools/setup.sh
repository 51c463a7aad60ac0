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
# What only some parts need; everything else runs without it.
#   EGL: the pyrender backend. Chromium: browser tests. PostgreSQL: tests of the review store on it.
missing="" ubuntu_browser="" chromium=""
if ! ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' || ! ldconfig -p | grep -q 'libEGL_mesa\|libEGL_nvidia'; then
    missing="libegl1 libgl1-mesa-dri"
fi
if ! command -v chromium-headless-shell >/dev/null 2>&1 && ! command -v chromium >/dev/null 2>&1 \
    && ! command -v chromium-browser >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
    # Ubuntu's own package only starts a snap, which containers cannot run: Playwright's is taken.
    grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null && ubuntu_browser=yes || chromium=chromium
fi
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
missing="$missing${chromium:+ $chromium}"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        # Without its windows Chromium is smaller and faster; older releases have it only with them.
        if [ -n "$chromium" ] && apt-cache show chromium-headless-shell >/dev/null 2>&1; then
            missing="${missing%chromium}chromium-headless-shell"
        fi
        echo "setup: installing $missing"
        mkdir -p /etc/postgresql-common/createcluster.d  # tests start a server of their own
        echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/synthstudio.conf
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "setup: some tests and the pyrender backend stay off. To have them: sudo apt-get install $missing" >&2
    fi
fi
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
echo "setup: installing the locked packages into .venv (a few minutes the first time)"
.venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --requirement requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
if [ -n "$ubuntu_browser" ]; then
    if [ "$(id -u)" = 0 ]; then
        echo "setup: installing Chromium"
        .venv/bin/python -m playwright install --with-deps chromium >/dev/null
    else
        echo "setup: browser tests stay off. To have them: sudo .venv/bin/python -m playwright install-deps chromium && .venv/bin/python -m playwright install chromium" >&2
    fi
fi
touch .venv/.ready
