#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image. The only step that needs a network.
set -euo pipefail
umask 022
source=/autograder/source
home=/opt/fcoskit

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates libseccomp2 python3 python3-venv

# uv brings the Python that the grades are meant for, whatever the image has; then the lock, nothing more or less.
python3 -m venv "$home/tools"
"$home/tools/bin/pip" install --no-cache-dir --no-deps "uv==@UV@"
export UV_PYTHON_INSTALL_DIR="$home/python" UV_NO_CACHE=1 UV_LINK_MODE=copy
"$home/tools/bin/uv" venv --managed-python --python "@PYTHON@" "$home/venv"
"$home/tools/bin/uv" pip install --python "$home/venv/bin/python" --no-deps --compile-bytecode \
    -r "$source/kit/requirements.lock"
"$home/venv/bin/python" -c "import pyseccomp, torch, torchvision"

# Student code runs as a user that nobody else is: this Python is open to it, and none of our files are.
chmod -R go+rX "$home"
chmod -R go-rwx "$source"
