#!/bin/sh
# Let a machine know the others by name. Run as root:
#   names.sh NAME=ADDRESS…
set -eu

for pair in "$@"; do
	name=${pair%%=*}
	# The machine's own name stands there already, for an address that only itself can reach.
	sed -i "/[[:space:]]$name\$/d" /etc/hosts
	echo "${pair#*=} $name" >>/etc/hosts
done
