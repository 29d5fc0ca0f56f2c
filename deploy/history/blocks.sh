#!/bin/sh
# Make blocks of $HISTORY/history.om in $TSDB, Prometheus' data folder, once. A failure is shown,
# leaves no block, and keeps nothing from starting; the next start tries again.
set -eu
[ -e "$HISTORY/asked" ] || exit 0
asked=$(cat "$HISTORY/asked")
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
for block in "$work"/*; do
	[ ! -d "$block" ] || mv "$block" "$TSDB"
done
rmdir "$work"
echo "$asked" >"$TSDB/history-asked"
