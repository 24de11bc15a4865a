#!/bin/sh
# Record a DAMON run of this machine in the format of data/recordings, as far as Linux tells it.
#   record_run.sh DIR SECONDS     as root, with kdamond 0 configured (the .sh of `tieringmodel convert`) and off
#   record_run.sh --tables DIR    only make the tables from DIR/trace.txt and DIR/info.txt
# Tested on a made-up tree, not on hardware; TIERINGMODEL_ROOT=DIR takes DIR/sys and DIR/proc for /sys and /proc. Not written, because Linux does not tell it: layout.csv and physmap_start.csv (who touches what, and
# where it lies: write them by hand), resets.csv (scores need a probe in the kernel). See docs/howto/recordings.md.
set -eu

tables() {
    awk -v dir="$1" '
        function value(name,   i) { for (i = 1; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2) }
        function after(event,   i) { for (i = 1; i <= NF; i++) if ($i ~ "(^|:)" event ":$") return i; return 0 }
        BEGIN {
            while ((getline line < (dir "/info.txt")) > 0) { split(line, word, " "); info[word[1]] = word[2] }
            print "agg,t_ms,nr_regions,start,end,nr_accesses,age" > (dir "/aggregated.csv")
            print "t_ms,scheme,nr_tried,sz_tried,nr_applied,sz_applied,sz_ops_filter_passed,qt_exceeds,nr_snapshots" \
                > (dir "/applies.csv")
        }
        (at = after("damon_aggregated")) {
            time = $(at - 1); sub(":", "", time)
            if (left == 0) { left = value("nr_regions"); agg += 0 }
            split($(at + 3), range, /[-:]/)
            printf "%d,%.3f,%s,%s,%s,%s,%s\n", agg, time * 1000 - info["t0_mono_ms"], value("nr_regions"), range[1], range[2],
                $(at + 4), $(at + 5) > (dir "/aggregated.csv")
            if (--left == 0) agg++
        }
        (at = after("damos_stat_after_apply_interval")) {
            time = $(at - 1); sub(":", "", time)
            printf "%.3f,%s,%s,%s,%s,%s,%s,%s,%s\n", time * 1000 - info["t0_mono_ms"], value("scheme_idx"), value("nr_tried"),
                value("sz_tried"), value("nr_applied"), value("sz_applied"), value("sz_ops_filter_passed"),
                value("qt_exceeds"), value("nr_snapshots") > (dir "/applies.csv")
        }' "$1/trace.txt"
}

if [ "${1:-}" = --tables ]; then
    tables "${2:?the directory of the run}"
    exit 0
fi
dir="${1:?the directory to write}" seconds="${2:?how long to record}"
case "$seconds" in '' | *[!0-9]* | 0) echo "$seconds is no number of seconds" >&2; exit 1 ;; esac
sys="${TIERINGMODEL_ROOT:-}/sys" proc="${TIERINGMODEL_ROOT:-}/proc"
admin="$sys/kernel/mm/damon/admin/kdamonds/0"
context="$admin/contexts/0"
trace="$sys/kernel/tracing/instances/tieringmodel"
[ -r "$admin/state" ] || { echo "$admin: no kdamond is configured, or this is not root" >&2; exit 1; }
[ "$(cat "$admin/state")" = off ] || { echo "kdamond 0 is not off" >&2; exit 1; }
[ ! -e "$dir" ] || { echo "$dir exists already" >&2; exit 1; }
mkdir "$dir"
mkdir -p "$trace"
reader=
stop() {
    trap - EXIT INT TERM
    echo off > "$admin/state" || true
    [ -z "$reader" ] || kill "$reader" 2>/dev/null || true
    rmdir "$trace" 2>/dev/null || true
}
trap stop EXIT INT TERM
echo mono > "$trace/trace_clock"
echo 65536 > "$trace/buffer_size_kb"
for event in damon_aggregated damos_stat_after_apply_interval damos_esz; do
    [ ! -e "$trace/events/damon/$event" ] || echo 1 > "$trace/events/damon/$event/enable"
done
cat "$trace/trace_pipe" > "$dir/trace.txt" &
reader=$!

now_ms() { awk '{printf "%.0f\n", $1 * 1000}' "$proc/uptime"; }
number() { if [ -e "$1" ]; then cat "$1"; else echo 0; fi; } # older kernels have fewer files
schemes=$(cat "$context/schemes/nr_schemes")
nodes=$(ls -d "$sys"/devices/system/node/node[0-9]* | sed 's/.*node//' | sort -n)
stats="nr_tried sz_tried nr_applied sz_applied sz_ops_filter_passed qt_exceeds nr_snapshots"
cat "$proc/version" > "$dir/version"
cat "$proc/zoneinfo" > "$dir/zoneinfo.txt"
{
    printf t_ms
    for n in $nodes; do printf ',n%s_total_kb,n%s_free_kb' "$n" "$n"; done
    printf ',pgmigrate_success,pgmigrate_fail'
    i=0
    while [ "$i" -lt "$schemes" ]; do
        for name in $stats effective_bytes; do printf ',s%s_%s' "$i" "$name"; done
        i=$((i + 1))
    done
    echo ',ticks,missed_ticks,rec_cost_ms'
} > "$dir/record.csv"

echo on > "$admin/state"
t0=$(now_ms)
printf '%s\n' "t0_mono_ms $t0" "rec_ms 1000" "total_ms $((seconds * 1000))" "nr_schemes $schemes" > "$dir/info.txt"
while [ $(($(now_ms) - t0)) -lt $((seconds * 1000)) ]; do
    begin=$(now_ms)
    echo update_schemes_stats > "$admin/state"
    echo update_schemes_effective_quotas > "$admin/state" || true
    {
        printf '%s' "$((begin - t0))"
        for n in $nodes; do
            awk '/MemTotal|MemFree/ {printf ",%s", $4}' "$sys/devices/system/node/node$n/meminfo"
        done
        awk '/^pgmigrate_(success|fail) / {printf ",%s", $2}' "$proc/vmstat"
        i=0
        while [ "$i" -lt "$schemes" ]; do
            for name in $stats; do printf ',%s' "$(number "$context/schemes/$i/stats/$name")"; done
            printf ',%s' "$(number "$context/schemes/$i/quotas/effective_bytes")"
            i=$((i + 1))
        done
        echo ",0,0,$(($(now_ms) - begin))"
    } >> "$dir/record.csv"
    sleep 1
done
# One line a file, as it is read: avail_operations has three.
(cd "$context" && find . -type f ! -path '*tried_regions*' | sort | while read -r file; do
    printf '%s %s\n' "$file" "$(tr '\n' ' ' 2>/dev/null < "$file" || true)"
done) > "$dir/damon_config.txt"
stop
tables "$dir"
