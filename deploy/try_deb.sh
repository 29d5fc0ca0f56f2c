#!/usr/bin/env bash
# usage: deploy/try_deb.sh WHEEL
# Build the Debian package in a small Debian, then install, start, upgrade, remove and purge it there
# without a network.
#
# Needs root, debootstrap and iproute2. In a chroot there is no systemd to start the unit: the
# program is started with the unit's variables, as a user without rights, and with its credentials.
set -euo pipefail
cd "$(dirname "$0")/.."

wheel=$1
name=scaleengine-exporter
release=$(sed -n 's/^FROM .*-\(.*\) AS base$/\1/p' Dockerfile)
work=$(mktemp -d)
system=$work/system
clean() {
	umount --lazy "$system/proc" 2>/dev/null || true
	rm -rf "$work"
}
trap clean EXIT
fail() {
	echo "$*" >&2
	exit 1
}
# Nothing that is called so has a network, but for one interface to itself.
inside() {
	unshare --net --pid --fork --kill-child sh -c 'ip link set lo up && exec chroot "$@"' - "$system" \
		env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
list() { (cd "$system" && find etc usr var -path var/lib/dpkg -prune -o -path var/log -prune -o -print | sort); }

cp -a "$(deploy/debian_root.sh "$release")" "$system"
mount -t proc proc "$system/proc"
began=$SECONDS
deb=$(deploy/deb_in_root.sh "$wheel" "$system" 2>"$work/log") || fail "$(tail -20 "$work/log")"
echo "built in $((SECONDS - began)) s: $(($(stat -c %s "$system$deb") / 1000000)) MB"
list >"$work/before"

inside dpkg --install "$deb" >"$work/log" 2>&1 || fail "not installed: $(cat "$work/log")"
grep -q 'systemctl enable --now' "$work/log" || fail "it does not say what to do next"
inside $name --version | grep -q "^$name $(dpkg-deb -f "$system$deb" Version) " || fail "it has no version"
[ -s "$system/usr/share/man/man1/$name.1.gz" ] || fail "it has no manual page"
inside dpkg --verify $name || fail "files differ from those of the package"

# A configuration that was not edited is an error, which names the place.
config=/etc/$name/config.yaml
check() { inside env CREDENTIALS_DIRECTORY="/etc/$name" $name --config.file=$config --config.check; }
! check 2>"$work/log" || fail "it accepts the configuration that comes with it"
grep -q "^$config:4:10: accounts\[0\].cdn: must be a whole number" "$work/log" || fail "$(cat "$work/log")"
grep -q "api_key_file: names a file that does not exist" "$work/log" || fail "$(cat "$work/log")"
(umask 077 && echo key >"$system/etc/$name/api_key" && echo secret >"$system/etc/$name/api_secret")
sed -i 's/YOUR-CDN-NUMBER/158/' "$system$config"
check >/dev/null || fail "it refuses a good configuration"

# As the unit starts it, but for its locks; the API is out of reach here, which is no reason to end.
mapfile -t variables < <(sed -n 's/^Environment=//p' "$system/usr/lib/systemd/system/$name.service")
mkdir -p "$system/run/credentials"
install -m 400 -o 65534 "$system/etc/$name"/{api_key,api_secret} "$system/run/credentials/"
cat >"$system/try" <<TRY
set -e
setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all env \
	${variables[*]@Q} CREDENTIALS_DIRECTORY=/run/credentials $name 2>/run/log &
for _ in \$(seq 200); do
	! $name healthcheck --web.listen-address=localhost:10058 >/dev/null || break
	sleep 0.1
done
$name healthcheck --web.listen-address=localhost:10058
python3 -c 'import urllib.request as u; print(u.urlopen("http://localhost:10058/metrics").read().decode())'
kill \$!
wait \$!
TRY
inside sh /try >"$work/log" || fail "it does not run: $(cat "$work/log" "$system/run/log")"
grep -q '^scaleengine_account_info{account="158",cdn="158"} 1' "$work/log" || fail "$(cat "$work/log")"
! find "$system/usr/lib/$name" -newer "$system/try" | grep . || fail "it has written to its own folder"

# An upgrade keeps what the operator wrote, a removal too; a purge leaves nothing.
inside dpkg --install "$deb" >"$work/log" 2>&1 || fail "not upgraded: $(cat "$work/log")"
grep -q 'cdn: 158' "$system$config" || fail "an upgrade has changed the configuration"
inside dpkg --remove $name >"$work/log" 2>&1 || fail "not removed: $(cat "$work/log")"
grep -q 'cdn: 158' "$system$config" || fail "a removal has taken the configuration away"
[ ! -e "$system/usr/lib/$name" ] || fail "a removal has left $(find "$system/usr/lib/$name" | head)"
inside dpkg --purge $name >"$work/log" 2>&1 || fail "not purged: $(cat "$work/log")"
list >"$work/after"
diff "$work/before" "$work/after" || fail "a purge has left the above"
echo "installed, started, upgraded, removed and purged in $((SECONDS - began)) s in all"
