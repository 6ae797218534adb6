#!/bin/sh
# Finish a source or KVM host after lab/provision/host.sh: its host key, which the manager knows
# already, and the network that its virtual machines are on. Run as root:
#   hypervisor.sh KEYS
set -eu

keys=$1
here=$(dirname "$0")

"$here/../lab/provision/install-packages.sh" "$here/../lab/provision/packages-lab.txt"

install -m 600 "$keys/ssh_host_ed25519_key" /etc/ssh/ssh_host_ed25519_key
install -m 644 "$keys/ssh_host_ed25519_key.pub" /etc/ssh/ssh_host_ed25519_key.pub
systemctl restart ssh

if ! virsh --quiet net-info lan >/dev/null 2>&1; then
	virsh --quiet net-define "$here/lan.xml"
	virsh --quiet net-autostart lan
fi
virsh --quiet net-list --name | grep -qx lan || virsh --quiet net-start lan
