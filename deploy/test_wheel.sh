#!/usr/bin/env bash
# usage: deploy/test_wheel.sh PYTHON [TEST...]
# Run the tests of the source package in dist/ on the wheel next to it, as a packager would.
#
# The wheel is installed into an environment of its own, which takes what it depends on from that
# of PYTHON. In the unpacked source package its modules replace their sources. Some tests run in one
# process: to start more takes longer than the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/$1
shift
[ $# -gt 0 ] || set -- -n 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tar -xzf dist/*.tar.gz -C "$work" --strip-components=1 --one-top-level=source
"$python" -m venv --without-pip "$work/venv"
packages=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/dependencies.pth"
"$python" -m pip --python "$work/venv/bin/python" install --quiet --disable-pip-version-check \
	--no-deps --no-index dist/*.whl
cd "$work/source"
rm -r exporter
ln -s "$packages/exporter" exporter
PATH=$work/venv/bin:$PATH:$(dirname "$python") "$work/venv/bin/python" -m pytest "$@"
