#!/usr/bin/env bash
# usage: deploy/debian_root.sh RELEASE
# Unpack a small Debian with Python and pip, the first time, and print its folder. Needs root and
# debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

root=.tools/$1-python
if [ ! -e "$root/done" ]; then
	rm -rf "$root"
	mkdir -p "$root"
	debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
		"$1" "$root/system" >"$root/log" || {
		tail -5 "$root/log" >&2
		exit 1
	}
	ln -s /usr/bin/python3 "$root/system/usr/local/bin/python"
	touch "$root/done"
fi
echo "$root/system"
