#!/usr/bin/env bash
# usage: deploy/deb_in_root.sh WHEEL SYSTEM
# Build the Debian package of a wheel in an unpacked Debian, and print its path there. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

wheel=$1
system=$2
source=$system/source
mkdir -p "$source/deploy"
cp -r deploy/debian deploy/build_deb.sh "$source/deploy/"
cp requirements.txt README.md CHANGELOG.md "$wheel" "$source/"
# What pip has to know of this machine, if anything.
for file in /etc/pip.conf /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
	[ ! -e "$file" ] || cp --parents -L "$file" "$system/"
done
chroot "$system" /source/deploy/build_deb.sh "/source/$(basename "$wheel")" /packages
rm -rf "$source"
