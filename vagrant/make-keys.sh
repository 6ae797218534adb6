#!/bin/sh
# Make the keys of the machines below keys/, where Vagrant runs; those that exist stay.
#   make-keys.sh NAME=ADDRESS…
# The machine called manager gets a key pair and the host keys of the others; each of the others
# gets a host key and the manager's public key.
set -eu

cd "$(dirname "$0")"
umask 077

key() {
	mkdir -p "$(dirname "$1")"
	[ -e "$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$1"
}

key keys/manager/id_ed25519 root@manager
: >keys/manager/known_hosts
for pair in "$@"; do
	name=${pair%%=*}
	address=${pair#*=}
	[ "$name" != manager ] || continue
	key "keys/$name/ssh_host_ed25519_key" "root@$name"
	cp keys/manager/id_ed25519.pub "keys/$name/manager.pub"
	echo "$name,$address $(cut -d' ' -f1,2 "keys/$name/ssh_host_ed25519_key.pub")" \
		>>keys/manager/known_hosts
done
