#!/usr/bin/env bash
# Build the image and run the demo in it, locked up, on a machine without a Docker engine.
#
# Needs root, and buildah, podman, runc, netavark and debootstrap. In place of the official Python
# image, which only a registry of images has, stands a Debian of the same release with its Python.
set -euo pipefail
cd "$(dirname "$0")/.."

port=$(shuf -i 20000-30000 -n 1) # the kernel gives these only to a socket that asks for one
base=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' Dockerfile)
release=${base##*-}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
image=localhost/scaleengine-exporter:try
work=$(mktemp -d)

export CONTAINERS_CONF=$work/containers.conf
cat >"$CONTAINERS_CONF" <<'CONF'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
# Without systemd podman cannot check the health by itself, and says so at every step.
in_podman() { podman "${storage[@]}" "$@" 2> >(grep -vE 'healthchecks:|CNI config' >&2); }
clean() {
	in_podman rm --force --time 0 --ignore exporter stranger >/dev/null || true
	rm -rf "$work"
}
trap clean EXIT
fail() {
	echo "$*" >&2
	! in_podman container exists exporter || in_podman logs exporter >&2
	exit 1
}

system=$(deploy/debian_root.sh "$release") || fail "there is no Debian to build on"
tar -C "$system" -c . | in_podman import --quiet - "$base" >/dev/null

# What pip has to know of this machine, if anything.
mounts=()
for file in /etc/ssl/certs /etc/pip.conf; do
	[ ! -e "$file" ] || mounts+=(--volume "$file:$file:ro")
done
began=$SECONDS
buildah "${storage[@]}" bud --pull-never --isolation chroot --format docker "${mounts[@]}" \
	--build-arg "REVISION=$revision" --build-arg SOURCE=https://git.example.com/exporter --tag "$image" . >"$work/build.log" 2>&1 ||
	fail "$(tail -30 "$work/build.log")"
echo "built in $((SECONDS - began)) s"

began=$(date +%s%N)
in_podman run --detach --name exporter --network=host --read-only --read-only-tmpfs=false \
	--cap-drop=all --security-opt=no-new-privileges --pids-limit=100 --memory=256m \
	--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096 \
	"$image" demo "--web.listen-address=127.0.0.1:$port" >/dev/null
for _ in $(seq 300); do
	! curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null || break
	sleep 0.2
done
curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null || fail "not ready within 60 s"
echo "ready after $((($(date +%s%N) - began) / 1000000)) ms"

metrics=$(curl -sf "http://127.0.0.1:$port/metrics")
grep -q '^scaleengine_up{account="demo"} 1' <<<"$metrics" || fail "the demo's account is not up"
grep -q "^scaleengine_exporter_build_info{.*revision=\"$revision\"" <<<"$metrics" ||
	fail "the image does not know its revision"

inside() { in_podman exec exporter "$@"; }
[ "$(inside id -u)" = 10058 ] || fail "it does not run as user 10058"
inside grep -q 'CapBnd:.*0000000000000000' /proc/1/status || fail "it has capabilities"
! inside touch /opt/scaleengine-exporter/x 2>/dev/null || fail "its root can be written"
! inside sh -c 'command -v cc gcc g++ clang make ld' || fail "a compiler is left in it"
! inside python -c 'import pip' 2>/dev/null || fail "pip is left next to the program"
inside sh -c 'kill -HUP 1' || fail "it cannot be reloaded from inside"
# The command stands in the image; it finds the port that a flag has set.
in_podman healthcheck run exporter || fail "the health check finds it ill"
inside scaleengine-exporter healthcheck

# OpenShift gives each project user ids of its own, in the group of root.
in_podman run --detach --name stranger --network=none --read-only --read-only-tmpfs=false \
	--cap-drop=all --ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096 \
	--user 1000730000:0 "$image" demo >/dev/null
for _ in $(seq 60); do
	! in_podman exec stranger scaleengine-exporter healthcheck >/dev/null 2>&1 || break
	sleep 0.5
done
in_podman exec stranger scaleengine-exporter healthcheck >/dev/null || fail "it does not run as any user"
in_podman exec stranger grep -q '^Uid:.*1000730000' /proc/1/status || fail "it runs as another user"
in_podman rm --force --time 0 stranger >/dev/null

label() { in_podman image inspect --format "{{index .Labels \"org.opencontainers.image.$1\"}}" "$image"; }
[ "$(label revision)" = "$revision" ] || fail "the label of the revision is $(label revision)"
[ "$(label source)" = https://git.example.com/exporter ] || fail "the label of the source is $(label source)"
[ "$(label base.name)" = "$base" ] || fail "the label of the base is $(label base.name)"

# The image has to be pulled in less than 120 MB; Python's own is 43 MB, as docker-library/repo-info
# has it for amd64 and arm64.
added=$(inside tar -C /opt -cz scaleengine-exporter | wc -c)
[ "$added" -lt 60000000 ] || fail "the program adds $((added / 1000000)) MB, compressed"
echo "the program adds $((added / 1000000)) MB to what is pulled"

in_podman stop --time 10 exporter >/dev/null
status=$(in_podman inspect --format '{{.State.ExitCode}}' exporter)
[ "$status" = 0 ] || fail "SIGTERM ended it with status $status"
built=$(in_podman image inspect --format '{{.Size}}' "$image")
bare=$(in_podman image inspect --format '{{.Size}}' "$base")
echo "the program adds $(((built - bare) / 1000000)) MB to its base, unpacked"
