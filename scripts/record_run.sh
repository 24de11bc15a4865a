#!/bin/sh
# Record a DAMON run of this machine in the format of data/recordings, as far as Linux tells it.
#   record_run.sh DIR SECONDS     as root, with kdamonds configured (the .sh of `tieringmodel convert`) and off
#   record_run.sh --tables DIR    only make the tables from DIR/trace.txt and DIR/info.txt
# Tested on a made-up tree, not on hardware; TIERINGMODEL_ROOT=DIR takes DIR/sys and DIR/proc for /sys and /proc.
# Not written, because Linux does not tell it: layout.csv and physmap_start.csv (who touches what, and where it lies: write them
# by hand), resets.csv (scores need a probe in the kernel). See docs/howto/recordings.md.
set -eu

# Of several kdamonds each has tables of its own, aggregated_k0.csv, …; the trace names it by its task, kdamond.0.
tables() {
    awk -v dir="$1" '
        function value(name,   i) { for (i = 1; i <= NF; i++) if (index($i, name "=") == 1) return substr($i, length(name) + 2) }
        function after(event,   i) { for (i = 1; i <= NF; i++) if ($i ~ "(^|:)" event ":$") return i; return 0 }
        function of_kdamond(table,   k) {
            if (info["nr_kdamonds"] + 0 <= 1) return dir "/" table ".csv"
            k = $0; sub(/^ *kdamond\./, "", k); sub(/[^0-9].*/, "", k)
            return dir "/" table "_k" k ".csv"
        }
        BEGIN {
            while ((getline line < (dir "/info.txt")) > 0) { split(line, word, " "); info[word[1]] = word[2] }
            many = info["nr_kdamonds"] + 0
            for (k = 0; k < (many > 1 ? many : 1); k++) {
                suffix = many > 1 ? "_k" k : ""
                print "agg,t_ms,nr_regions,start,end,nr_accesses,age" > (dir "/aggregated" suffix ".csv")
                print "t_ms,scheme,nr_tried,sz_tried,nr_applied,sz_applied,sz_ops_filter_passed,qt_exceeds,nr_snapshots" \
                    > (dir "/applies" suffix ".csv")
            }
        }
        (at = after("damon_aggregated")) {
            time = $(at - 1); sub(":", "", time)
            file = of_kdamond("aggregated")
            if (left[file] == 0) { left[file] = value("nr_regions"); agg[file] += 0 }
            split($(at + 3), range, /[-:]/)
            printf "%d,%.3f,%s,%s,%s,%s,%s\n", agg[file], time * 1000 - info["t0_mono_ms"], value("nr_regions"), range[1], \
                range[2], $(at + 4), $(at + 5) > file
            if (--left[file] == 0) agg[file]++
        }
        (at = after("damos_stat_after_apply_interval")) {
            time = $(at - 1); sub(":", "", time)
            printf "%.3f,%s,%s,%s,%s,%s,%s,%s,%s\n", time * 1000 - info["t0_mono_ms"], value("scheme_idx"), value("nr_tried"),
                value("sz_tried"), value("nr_applied"), value("sz_applied"), value("sz_ops_filter_passed"),
                value("qt_exceeds"), value("nr_snapshots") > of_kdamond("applies")
        }' "$1/trace.txt"
}

if [ "${1:-}" = --tables ]; then
    tables "${2:?the directory of the run}"
    exit 0
fi
dir="${1:?the directory to write}" seconds="${2:?how long to record}"
case "$seconds" in '' | *[!0-9]* | 0) echo "$seconds is no number of seconds" >&2; exit 1 ;; esac
sys="${TIERINGMODEL_ROOT:-}/sys" proc="${TIERINGMODEL_ROOT:-}/proc"
admin="$sys/kernel/mm/damon/admin/kdamonds"
trace="$sys/kernel/tracing/instances/tieringmodel"
[ -r "$admin/0/state" ] || { echo "$admin/0: no kdamond is configured, or this is not root" >&2; exit 1; }
kdamonds=$(ls "$admin" | grep '^[0-9][0-9]*$' | sort -n)
for k in $kdamonds; do
    [ "$(cat "$admin/$k/state")" = off ] || { echo "kdamond $k is not off" >&2; exit 1; }
done
[ ! -e "$dir" ] || { echo "$dir exists already" >&2; exit 1; }
mkdir "$dir"
mkdir -p "$trace"
reader=
stop() {
    trap - EXIT INT TERM
    for k in $kdamonds; do echo off > "$admin/$k/state" || true; done
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
# All schemes of all kdamonds, in their order; what else the kernel counts; memory cgroups that filters and goals name.
schemes=$(for k in $kdamonds; do ls -d "$admin/$k/contexts/0/schemes"/[0-9]* 2>/dev/null | sort -V; done)
nodes=$(ls -d "$sys"/devices/system/node/node[0-9]* | sed 's/.*node//' | sort -n)
stats="nr_tried sz_tried nr_applied sz_applied sz_ops_filter_passed qt_exceeds nr_snapshots"
counters='^(numa_(pte_updates|huge_pte_updates|hint_faults|hint_faults_local|pages_migrated)|pgpromote_[a-z_]*|pgdemote_[a-z_]*'
counters="$counters|pg(scan|steal)_(kswapd|direct)|pswpin|pswpout|pgfault|pgmajfault|thp_(migration|split)_[a-z_]*) "
cgroups=$(find "$admin" -name memcg_path -o -path '*goals*' -name path | xargs cat 2>/dev/null | sed 's,^/*,,' | grep . | sort -u || true)
column() { echo "$1" | sed 's/[^0-9A-Za-z]/_/g'; }
cat "$proc/version" > "$dir/version"
cat "$proc/zoneinfo" > "$dir/zoneinfo.txt"
{
    printf t_ms
    for n in $nodes; do printf ',n%s_total_kb,n%s_free_kb' "$n" "$n"; done
    printf ',pgmigrate_success,pgmigrate_fail'
    i=0
    for scheme in $schemes; do
        for name in $stats effective_bytes; do printf ',s%s_%s' "$i" "$name"; done
        i=$((i + 1))
    done
    echo ',ticks,missed_ticks,rec_cost_ms'
} > "$dir/record.csv"
{
    printf t_ms
    awk -v of="$counters" '($1 " ") ~ of {printf ",%s", $1}' "$proc/vmstat"
    printf ',swap_free_kb,psi_some_us'
    for path in $cgroups; do for n in $nodes; do printf ',%s_n%s_anon' "$(column "$path")" "$n"; done; done
    echo
} > "$dir/extra.csv"

for k in $kdamonds; do echo on > "$admin/$k/state"; done
t0=$(now_ms)
printf '%s\n' "t0_mono_ms $t0" "rec_ms 1000" "total_ms $((seconds * 1000))" "nr_schemes $(echo "$schemes" | grep -c . || true)" \
    "nr_kdamonds $(echo "$kdamonds" | wc -l)" "numa_balancing $(number "$proc/sys/kernel/numa_balancing")" > "$dir/info.txt"
case "$(number "$sys/kernel/mm/numa/demotion_enabled")" in 1 | true) echo "demotion 1" >> "$dir/info.txt" ;; esac
while [ $(($(now_ms) - t0)) -lt $((seconds * 1000)) ]; do
    begin=$(now_ms)
    for k in $kdamonds; do
        echo update_schemes_stats > "$admin/$k/state"
        echo update_schemes_effective_quotas > "$admin/$k/state" || true
    done
    {
        printf '%s' "$((begin - t0))"
        for n in $nodes; do
            awk '/MemTotal|MemFree/ {printf ",%s", $4}' "$sys/devices/system/node/node$n/meminfo"
        done
        awk '/^pgmigrate_(success|fail) / {printf ",%s", $2}' "$proc/vmstat"
        for scheme in $schemes; do
            for name in $stats; do printf ',%s' "$(number "$scheme/stats/$name")"; done
            printf ',%s' "$(number "$scheme/quotas/effective_bytes")"
        done
        echo ",0,0,$(($(now_ms) - begin))"
    } >> "$dir/record.csv"
    {
        printf '%s' "$((begin - t0))"
        awk -v of="$counters" '($1 " ") ~ of {printf ",%s", $2}' "$proc/vmstat"
        awk '/^SwapFree:/ {kb = $2} END {printf ",%d", kb}' "$proc/meminfo" 2>/dev/null || printf ',0'
        awk '/^some/ {sub("total=", "", $5); us = $5} END {printf ",%d", us}' "$proc/pressure/memory" 2>/dev/null || printf ',0'
        for path in $cgroups; do
            for n in $nodes; do
                printf ',%s' "$(awk -v n="N$n=" '
                    $1 == "anon" {for (i = 2; i <= NF; i++) if (index($i, n) == 1) bytes = substr($i, length(n) + 1)}
                    END {print bytes + 0}' "$sys/fs/cgroup/$path/memory.numa_stat" 2>/dev/null || echo 0)"
            done
        done
        echo
    } >> "$dir/extra.csv"
    sleep 1
done
# One line a file, as it is read: avail_operations has three. Of one kdamond paths begin below its context, of several at all of them.
root="$admin/0/contexts/0" below=.
[ "$(echo "$kdamonds" | wc -l)" -eq 1 ] || { root="$admin/.." below=./kdamonds; }
(cd "$root" && find "$below" -type f ! -path '*tried_regions*' | sort | while read -r file; do
    printf '%s %s\n' "$file" "$(tr '\n' ' ' 2>/dev/null < "$file" || true)"
done) > "$dir/damon_config.txt"
stop
tables "$dir"
