#!/bin/sh
# Write the history that BACKFILL asks for to $HISTORY/history.om: flags of the command backfill, or
# nothing for no history. What is there already is not asked for again. A failure is shown and
# keeps nothing from starting; the next start tries again.
set -eu
[ -n "$BACKFILL" ] || exit 0
asked="$BACKFILL $SCALEENGINE_CDN"
[ "$(cat "$HISTORY/asked" 2>/dev/null)" != "$asked" ] || exit 0
rm -f "$HISTORY/asked"
# shellcheck disable=SC2086 # its words are flags
scaleengine-exporter backfill --to="$(date -u +%Y-%m-%dT%H:%M:%SZ)" $BACKFILL \
	--label=job=scaleengine --label=instance=exporter:10058 \
	--output="$HISTORY/history.om" --overwrite || {
	echo "there is no history: see above" >&2
	exit 0
}
echo "$asked" >"$HISTORY/asked"
