#!/bin/sh
# Make blocks of $HISTORY/history.om in $TSDB, Prometheus' data folder, once. A failure is shown and
# keeps nothing from starting.
set -eu
[ -e "$HISTORY/asked" ] || exit 0
asked=$(cat "$HISTORY/asked")
[ "$(cat "$TSDB/history-asked" 2>/dev/null)" != "$asked" ] || exit 0
promtool tsdb create-blocks-from openmetrics --quiet --max-block-duration=486h \
	"$HISTORY/history.om" "$TSDB" || {
	echo "there is no history: see above" >&2
	exit 0
}
echo "$asked" >"$TSDB/history-asked"
