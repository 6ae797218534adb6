#!/bin/sh
# Make a fresh Debian or Ubuntu machine the one that runs standby. Run as root:
#   manager.sh CHECKOUT
# CHECKOUT is where the product lies; its command becomes /usr/local/bin/standby.
set -eu

checkout=$1
here=$(dirname "$0")

"$here/install-packages.sh" "$here/packages-manager.txt"
[ -x /opt/standby/bin/python ] || /usr/bin/python3 -m venv --system-site-packages /opt/standby
/opt/standby/bin/pip install --quiet "$checkout"
ln -sf /opt/standby/bin/standby /usr/local/bin/standby
