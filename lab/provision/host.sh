#!/bin/sh
# Make a fresh Debian or Ubuntu machine a source or KVM host of the lab. Run as root:
#   host.sh STORAGE PUBLIC_KEY_FILE
# STORAGE is the directory for disks (/srv/vms or /srv/standby); the key is the manager's.
set -eu

storage=$1
public_key=$2
here=$(dirname "$0")

"$here/install-packages.sh" "$here/packages-host.txt"
mkdir -p "$storage"
"$here/user.sh" standby
"$here/authorise.sh" root "$public_key"
"$here/authorise.sh" standby "$public_key"
