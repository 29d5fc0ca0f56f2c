#!/usr/bin/env bash
# usage: deploy/try_systemd.sh WHEEL
# Run the Debian package under a real systemd: without secrets, with them, reloaded, hanging, behind
# its socket, upgraded and purged.
#
# Needs root, debootstrap, iproute2 and procps. systemd is process 1 of namespaces and of a cgroup of
# its own, with the loopback interface to itself: the machine's own systemd, if any, sees nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

name=scaleengine-exporter
release=$(sed -n 's/^FROM .*-\(.*\) AS base$/\1/p' Dockerfile)
work=$(mktemp -d)
export system=$work/system
cgroups=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
group=$cgroups/$(basename "$work")
booted=
clean() {
	[ -z "$booted" ] || kill -KILL "$booted" 2>/dev/null || true
	[ -z "$booted" ] || wait "$booted" 2>/dev/null || true
	# What was in it ends with its process 1, a moment later.
	for _ in $(seq 50); do
		! find "$group" -depth -mindepth 1 -type d -exec rmdir {} + 2>/dev/null || ! rmdir "$group" 2>/dev/null || break
		sleep 0.1
	done
	rm -rf --one-file-system "$work"
}
trap clean EXIT
fail() {
	echo "$*" >&2
	[ -z "$booted" ] || inside journalctl --no-pager --lines=30 >&2
	exit 1
}

trap 'fail "line $LINENO has failed"' ERR

# systemd mounts what it needs, but for this; in a container it does not share mounts by itself, and
# hands over no credentials without that.
boot() {
	# shellcheck disable=SC2016 # the inner shell expands it
	exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child sh -euc '
		mount --bind "$system" "$system"
		cd "$system"
		mount -t proc proc proc
		mount -t sysfs -o ro sysfs sys
		mount -t cgroup2 cgroup2 sys/fs/cgroup
		mount -t tmpfs tmpfs run
		mount -t tmpfs tmpfs dev
		for device in null zero full random urandom tty; do
			touch "dev/$device"
			mount --bind "/dev/$device" "dev/$device"
		done
		mkdir dev/pts dev/shm
		mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
		ln -s pts/ptmx dev/ptmx
		mount -t tmpfs tmpfs dev/shm
		ip link set lo up
		mkdir -p outside
		pivot_root . outside
		umount --lazy outside
		mount --make-rshared /
		exec env -i container=other /lib/systemd/systemd --log-target=journal
	'
}
inside() {
	# shellcheck disable=SC2016
	nsenter --target "$init" --mount --pid --uts --ipc --net --cgroup --root env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive sh -c 'cd / && exec "$@"' - "$@"
}
property() { inside systemctl show --property="$1" --value $name; }
# Wait until a property has a value, a minute at most.
expect() {
	for _ in $(seq 300); do
		[ "$(property "$1")" != "$2" ] || return 0
		sleep 0.2
	done
	fail "$1 is $(property "$1") instead of $2"
}
logged() { inside journalctl --no-pager --output=cat --unit=$name | grep -- "$1" >/dev/null; }
get() { inside curl --silent --show-error --fail --max-time 60 "http://localhost:10058$1"; }

cp -a "$(deploy/debian_root.sh "$release")" "$system"
cp -L /etc/resolv.conf "$system/etc/"
chroot "$system" sh -c "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
	--no-install-recommends systemd systemd-sysv dbus procps curl" >"$work/log" 2>&1 || fail "$(tail -5 "$work/log")"
deb=$(deploy/deb_in_root.sh "$1" "$system" 2>"$work/log") || fail "$(tail -20 "$work/log")"
# What a machine has and this needs not.
for unit in getty.target console-getty.service systemd-networkd.service systemd-udevd.service \
	systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-modules-load.service; do
	ln -sf /dev/null "$system/etc/systemd/system/$unit"
done
mkdir "$group"
(echo "$BASHPID" >"$group/cgroup.procs" && boot) &
booted=$!
state=
for _ in $(seq 300); do
	init=$(pgrep --parent "$booted" systemd || true)
	[ -z "$init" ] || state=$(inside systemctl is-system-running 2>/dev/null || true)
	[[ $state != running && $state != degraded ]] || break
	sleep 0.2
done
echo "$(inside systemctl --version | sed -n '1s/ (.*//p') is $state"

inside dpkg --install "$deb" >"$work/log" 2>&1 || fail "not installed: $(cat "$work/log")"
# It starts more often here than systemd allows.
inside sh -c "mkdir -p /run/systemd/system/$name.service.d &&
	printf '[Unit]\nStartLimitIntervalSec=0\n' >/run/systemd/system/$name.service.d/often.conf"
inside systemctl daemon-reload
[ "$(property ActiveState)" = inactive ] || fail "it was started before it was configured"
sed -i 's/YOUR-CDN-NUMBER/158/' "$system/etc/$name/config.yaml"
(umask 077 && echo key >"$system/etc/$name/api_key")
! inside systemctl enable --now $name 2>/dev/null || fail "it starts without a secret"
(inside systemctl status --full $name || true) | grep "api_secret was not met" >/dev/null || fail "the missing secret is not named"

(umask 077 && echo secret >"$system/etc/$name/api_secret")
inside systemctl start $name 2>"$work/log" || fail "not started: $(cat "$work/log")"
expect StatusText serving
get /metrics | grep '^scaleengine_account_info{account="158",cdn="158"} 1' >/dev/null || fail "no account is served"
[ "$(inside stat --format=%u "/proc/$(property MainPID)")" -gt 60000 ] || fail "its user is not of its own"
! inside setpriv --reuid=65534 --regid=65534 --clear-groups cat "/run/credentials/$name.service/api_key" 2>/dev/null ||
	fail "others can read its key"

inside systemctl reload $name
for _ in $(seq 100); do ! logged 'msg="configuration reloaded"' || break; sleep 0.2; done
logged 'msg="configuration reloaded"' || fail "not reloaded"
echo 'wrong: true' >>"$system/etc/$name/config.yaml"
inside systemctl reload $name
expect StatusText "serving; the last reload failed, see the log"
! inside systemctl restart $name 2>/dev/null || fail "it starts with a wrong configuration"
expect ExecMainStatus 2
[ "$(property NRestarts)" = 0 ] || fail "a wrong configuration is tried again"
sed -i '$d' "$system/etc/$name/config.yaml"

# systemd reloads nothing that has not started yet. A SIGHUP of somebody else, sent before the
# exporter can handle it, ends it, and it starts again.
inside systemctl stop $name
inside sh -c "systemctl start --no-block $name; systemctl reload $name" || true
expect StatusText serving
[ "$(property NRestarts)" = 0 ] || fail "a reload at its start has ended it"
inside systemctl stop $name
inside sh -c "systemctl start --no-block $name
	until pid=\$(systemctl show --property=MainPID --value $name) && [ \"\$pid\" != 0 ]; do :; done
	kill -HUP \$pid"
expect StatusText serving
echo "after SIGHUP in its first moments it was restarted $(property NRestarts) times, and serves"

mkdir -p "$system/etc/systemd/system/$name.service.d"
printf '[Service]\nWatchdogSec=5s\nRestartSec=0\n' >"$system/etc/systemd/system/$name.service.d/soon.conf"
inside systemctl daemon-reload
inside systemctl restart $name || fail "not restarted"
inside sh -c "kill -STOP $(property MainPID)"
expect NRestarts 1
expect StatusText serving
rm -r "$system/etc/systemd/system/$name.service.d"
inside systemctl daemon-reload

# As docs/install.md has it. No scrape is refused while it restarts.
inside systemctl stop $name
inside systemctl enable --now $name.socket 2>/dev/null
inside systemctl start $name
logged 'using systemd sockets' || fail "it listens by itself"
touch "$system/scraping"
while [ -e "$system/scraping" ]; do get /-/healthy && sleep 0.05 || echo LOST; done >"$work/scrapes" 2>&1 &
scraping=$!
for _ in 1 2 3 4 5; do
	sleep 0.3
	inside systemctl restart $name || fail "not restarted"
done
rm "$system/scraping"
wait "$scraping"
! grep -q LOST "$work/scrapes" || fail "a restart has lost a scrape: $(grep -v Healthy "$work/scrapes" | head)"
echo "$(grep -c Healthy "$work/scrapes") scrapes during 5 restarts, none lost"

before=$(property MainPID)
inside dpkg --install "$deb" >"$work/log" 2>&1 || fail "not upgraded: $(cat "$work/log")"
expect StatusText serving
[ "$(property MainPID)" != "$before" ] || fail "an upgrade does not restart it"
inside systemctl disable --now $name 2>/dev/null
inside dpkg --purge $name >"$work/log" 2>&1 || fail "not purged: $(cat "$work/log")"
! get /-/healthy 2>/dev/null || fail "something still listens"
[ "$(property LoadState)" = not-found ] || fail "systemd still knows it"
find "$system/etc" "$system/usr" -name "*$name*" | grep . && fail "a purge has left the above"
echo "started, reloaded, ended by the watchdog, restarted behind its socket, upgraded and purged"
