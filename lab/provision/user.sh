#!/bin/sh
# Create the ordinary user that the lab's hosts have: may use libvirt and KVM, nothing more.
#   user.sh NAME
set -eu

name=$1
if ! id "$name" >/dev/null 2>&1; then
	useradd --no-log-init --create-home --shell /bin/bash --groups libvirt,kvm "$name"
fi
# No password works, yet the account is not locked: sshd refuses locked accounts.
usermod --password '*' "$name"
