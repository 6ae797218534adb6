#!/bin/sh
# Install what is missing for the lab and the tests: packages of the distribution, then the
# virtual environment .venv. Quick when all is there. As root, or with sudo.
set -eu

cd "$(dirname "$0")/.."
lists=lab/provision
lab/provision/install-packages.sh "$lists/packages-manager.txt" "$lists/packages-host.txt" \
	"$lists/packages-lab.txt" "$lists/packages-tests.txt"

if [ ! -x .venv/bin/python ]; then
	# The system's packages show through: libvirt and nbd are not on PyPI in the right version.
	/usr/bin/python3 -m venv --system-site-packages .venv
fi
if ! cmp -s pyproject.toml .venv/installed-from.toml; then
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	cp pyproject.toml .venv/installed-from.toml
fi
if [ ! -x .venv/bin/promtool ]; then
	lab/provision/unpack-promtool.sh .venv/bin || echo "without promtool the alert rules are not tried" >&2
fi
