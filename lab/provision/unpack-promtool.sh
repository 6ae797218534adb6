#!/bin/sh
# Put promtool, with which the alert rules are tried, into the directory $1. It is taken out of
# Debian's package: installed, that would start a server of its own.
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
apt-get -o APT::Sandbox::User=root download --quiet --quiet prometheus
dpkg-deb --extract prometheus_*.deb .
cd "$OLDPWD"
install -m 755 "$directory/usr/bin/promtool" "$1/promtool"
