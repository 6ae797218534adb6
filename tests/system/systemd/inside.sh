#!/bin/sh
# The second half of boot.sh, as process 1 of the new namespaces. What is written to /etc, /usr and
# /var from here on stays in memory; systemd finds no unit but those it is given.
set -eu
umount /media/groups
# What this host's libvirt shows to those who use it; both would be covered.
for place in run var/lib; do
	[ ! -d "/$place/libvirt" ] || {
		mkdir -p "/media/$place/libvirt"
		mount --rbind "/$place/libvirt" "/media/$place/libvirt"
	}
done
cp -r "$1/units" "$1/standby" /media
for place in etc usr var; do
	mkdir -p "/media/$place/changes" "/media/$place/work"
	mount -t overlay overlay "/$place" \
		-o "lowerdir=/$place,upperdir=/media/$place/changes,workdir=/media/$place/work"
done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mount -t cgroup2 none /sys/fs/cgroup
for place in run var/lib; do
	[ ! -d "/media/$place/libvirt" ] || {
		mkdir -p "/$place/libvirt"
		mount --move "/media/$place/libvirt" "/$place/libvirt"
	}
done

# As the head of the unit says.
id standby > /dev/null 2>&1 ||
	useradd --system --home-dir /var/lib/standby --shell /usr/sbin/nologin standby
groupadd operators
useradd --no-create-home --groups operators olga
usermod --append --groups operators standby
mv /media/standby /etc/standby
chown -R standby: /etc/standby/keys
chmod 0600 /etc/standby/keys/*

# The checkout may lie in a home directory, which the service does not see.
mkdir /usr/lib/standby
mount --bind "$2" /usr/lib/standby
printf '#!/bin/sh\nPYTHONPATH=%s exec %s/.venv/bin/python -m standby "$@"\n' \
	/usr/lib/standby /usr/lib/standby > /usr/bin/standby
chmod 0755 /usr/bin/standby

exec env -i container=lab "PATH=$PATH" SYSTEMD_UNIT_PATH=/media/units SYSTEMD_LOG_TARGET=console \
	/lib/systemd/systemd --system --unit=idle.target --show-status=no
