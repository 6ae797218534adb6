#!/bin/sh
# Install the packages named in the given lists (one a line, # begins a comment) that are
# missing, and nothing else: where all are there, nothing is asked of the network.
set -eu

if [ $# -eq 0 ]; then
	echo "usage: $0 LIST…" >&2
	exit 2
fi

wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -- "$@" | sort -u)
present=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' |
	sed -n 's/^installed //p' | sort -u)
missing=
for package in $wanted; do
	case "
$present
" in
	*"
$package
"*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
$as_root apt-get update --quiet
# Word splitting is meant: one word, one package.
# shellcheck disable=SC2086
$as_root apt-get install --quiet --yes --no-install-recommends $missing
