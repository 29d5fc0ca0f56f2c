#!/bin/sh
# Make blocks of $HISTORY/history.om in $TSDB, Prometheus' data folder, once. A failure is shown,
# leaves no block, and keeps nothing from starting; the next start tries again.
set -eu
[ -e "$HISTORY/asked" ] || exit 0
asked=$(cat "$HISTORY/asked")
checked="$TSDB/history.checked"

# Those that are there already were moved by a start that was killed then: no sample is added twice.
move_blocks() {
	for block in "$checked"/*; do
		[ ! -d "$block" ] || mv "$block" "$TSDB"
	done
	[ ! -e "$checked/asked" ] || mv "$checked/asked" "$TSDB/history-asked"
	rmdir "$checked"
}

[ ! -d "$checked" ] || move_blocks
[ "$(cat "$TSDB/history-asked" 2>/dev/null)" != "$asked" ] || exit 0
work="$TSDB/history.partial"
rm -rf "$work"
mkdir "$work"
promtool tsdb create-blocks-from openmetrics --quiet --max-block-duration=486h \
	"$HISTORY/history.om" "$work" || {
	rm -rf "$work"
	echo "there is no history: see above" >&2
	exit 0
}
echo "$asked" >"$work/asked"
mv "$work" "$checked"
move_blocks
