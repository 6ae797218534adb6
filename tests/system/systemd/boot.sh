#!/bin/sh
# A real systemd as the first process of namespaces of its own, with a control group of its own.
# Run in a mount namespace that may be changed, where its network and files are to come from; all of
# it ends with this process.
#
# Arguments: a directory with units/ and standby/, which becomes /etc/standby; the checkout.
set -eu
group=standby-systemd-$$
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /media
mkdir /media/groups
mount -t cgroup2 none /media/groups
mkdir "/media/groups/$group"
sh -c 'echo 0 > "$1/cgroup.procs"; shift; exec unshare "$@"' boot "/media/groups/$group" \
	--mount --pid --uts --ipc --cgroup --fork --kill-child --mount-proc \
	sh "${0%/*}/inside.sh" "$1" "$2" || true
find "/media/groups/$group" -depth -type d -exec rmdir {} +
