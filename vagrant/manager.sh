#!/bin/sh
# Finish the manager after lab/provision/manager.sh: root's key, the hosts' keys, and a profile
# to begin with. Run as root:
#   manager.sh KEYS
set -eu

keys=$1
checkout=$(dirname "$0")/..

install -d -m 700 /root/.ssh
install -m 600 "$keys/id_ed25519" "$keys/id_ed25519.pub" "$keys/known_hosts" /root/.ssh/
[ -e /etc/standby ] || cp -r "$checkout/lab/configuration" /etc/standby
