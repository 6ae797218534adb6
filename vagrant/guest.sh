#!/bin/sh
# Build the lab's small Linux and run it here, unless it exists. Run as root:
#   guest.sh NAME
set -eu

name=$1
cd "$(dirname "$0")/.."
virsh --quiet dominfo "$name" >/dev/null 2>&1 || python3 -m vagrant.guest "$name"
virsh --quiet list --name | grep -qx "$name" || virsh --quiet start "$name"
