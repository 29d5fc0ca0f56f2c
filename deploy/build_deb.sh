#!/usr/bin/env bash
# usage: deploy/build_deb.sh WHEEL DIR
# Build a Debian package of the wheel and its pinned dependencies in DIR, for this release of Debian
# and this architecture. Needs python3-pip; installing the package needs no network.
#
# The package has an environment of its own in /usr/lib, since the dependencies are newer than those
# of Debian. It is built for the Python of this release, and depends on it.
set -euo pipefail

wheel=$(realpath "$1")
mkdir -p "$2"
output=$(realpath "$2")
cd "$(dirname "$0")/.."

name=scaleengine-exporter
home=usr/lib/$name
version=$(basename "$wheel" | cut -d- -f2)
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

/usr/bin/python3 -m venv --without-pip "$root/$home"
pip=(/usr/bin/python3 -m pip --python "$root/$home/bin/python")
"${pip[@]}" install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
	--only-binary=:all: --require-hashes -r requirements.txt
"${pip[@]}" install --quiet --disable-pip-version-check --no-compile --no-deps --no-index "$wheel"

# Only the interpreter and the program are called; the rest would name the folder of this build.
find "$root/$home/bin" -type f -delete
sed -i '/^command = /d' "$root/$home/pyvenv.cfg"
cat >"$root/$home/bin/$name" <<PROGRAM
#!/$home/bin/python
import sys

from exporter.__main__ import main

sys.exit(main())
PROGRAM
chmod 755 "$root/$home/bin/$name"
# No user may write bytecode there later, and nothing compares it with its sources at each start.
"$root/$home/bin/python" -m compileall -q --invalidation-mode=unchecked-hash \
	-s "$root" -p / "$root/$home"/lib/python3*

run() { "$root/$home/bin/python" -m exporter "$@"; }
documents=$root/usr/share/doc/$name
units=$root/usr/lib/systemd/system
install -d "$root/usr/bin" "$units" "$documents/examples" "$root/usr/share/man/man1" \
	"$root/usr/share/bash-completion/completions" "$root/DEBIAN"
ln -s "../lib/$name/bin/$name" "$root/usr/bin/$name"
run files --output="$documents/examples" >/dev/null
mv "$documents/examples/$name.1" "$root/usr/share/man/man1/"
gzip -9n "$root/usr/share/man/man1/$name.1"
mv "$documents/examples/$name".{service,socket} "$units/"
_SCALEENGINE_EXPORTER_COMPLETE=bash_source run \
	>"$root/usr/share/bash-completion/completions/$name"
install -m 644 deploy/debian/copyright README.md CHANGELOG.md "$documents/"
gzip -9n "$documents/CHANGELOG.md"
# The user of the unit exists only while it runs: it reads what everybody may read. The secrets are
# files of root, which systemd hands over.
install -D -m 644 deploy/debian/config.yaml "$root/etc/$name/config.yaml"
install -D -m 644 deploy/debian/default "$root/etc/default/$name"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort) >"$root/DEBIAN/conffiles"

# The C library that the wheels were built for: manylinux_2_28 wants 2.28.
libc=$(cat "$root/$home"/lib/python3*/site-packages/*.dist-info/WHEEL |
	grep -o 'manylinux_2_[0-9]*' | cut -d_ -f3 | sort -n | tail -1)
read -r python next <<<"$(/usr/bin/python3 -c \
	'import sys; a, b = sys.version_info[:2]; print(f"{a}.{b} {a}.{b + 1}")')"
cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $architecture
Maintainer: The maintainers of $name <root@localhost>
Section: net
Priority: optional
Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: python3 (>= $python~), python3 (<< $next~), libc6 (>= 2.${libc:-28}), init-system-helpers
Recommends: systemd
Suggests: prometheus
Description: Prometheus exporter for ScaleEngine accounts
 It polls the API of the ScaleEngine video CDN, and serves the disk usage and
 the file counts of accounts to Prometheus.
CONTROL
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
	xargs -0 md5sum) >"$root/DEBIAN/md5sums"
dpkg-deb --build --root-owner-group -Zzstd "$root" "$output" >/dev/null
echo "$output/${name}_${version}_$architecture.deb"
