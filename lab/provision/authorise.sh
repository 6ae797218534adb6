#!/bin/sh
# Let the owner of a public key log in as a user of this host.
#   authorise.sh USER PUBLIC_KEY_FILE
set -eu

user=$1
key=$(cat "$2")
home=$(getent passwd "$user" | cut -d: -f6)
group=$(id -gn "$user")

install -d -m 700 -o "$user" -g "$group" "$home/.ssh"
keys=$home/.ssh/authorized_keys
if ! grep -qxF "$key" "$keys" 2>/dev/null; then
	echo "$key" >>"$keys"
fi
chown "$user:$group" "$keys"
chmod 600 "$keys"
