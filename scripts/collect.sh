#!/bin/sh
# Gather what `tieringmodel --machine DIR` reads of this machine, and `tieringmodel run DIR` of its DAMON. Only reads.
#   collect.sh DIR [PID]     as root for DAMON's files and for another user's PID, whose memory's place is gathered, too
# Names of files and programs are in numa_maps.txt and numastat.txt, addresses of memory in all of them: look before you send it.
# TIERINGMODEL_ROOT=ROOT takes ROOT/sys and ROOT/proc for /sys and /proc.
set -eu

dir="${1:?the directory to write}" pid="${2:-}"
case "$pid" in *[!0-9]*) echo "$pid is no process id" >&2; exit 1 ;; esac
sys="${TIERINGMODEL_ROOT:-}/sys" proc="${TIERINGMODEL_ROOT:-}/proc"
[ ! -e "$dir" ] || { echo "$dir exists already" >&2; exit 1; }
mkdir "$dir"

keep() { # FILE COMMAND…: keep what a command prints, unless it fails or prints nothing
    file="$dir/$1"
    shift
    if "$@" > "$file" 2>/dev/null && [ -s "$file" ]; then
        echo "$file"
    else
        rm -f "$file"
        echo "$file: left out, '$*' gave nothing" >&2
    fi
}
damon() (
    cd "$sys/kernel/mm/damon/admin"
    # One line a file, as it is read: avail_operations has three.
    find . -type f ! -path '*tried_regions*' | sort | while read -r file; do
        printf '%s %s\n' "$file" "$(tr '\n' ' ' 2>/dev/null < "$file" || true)"
    done
)

keep zoneinfo.txt cat "$proc/zoneinfo"
keep version.txt cat "$proc/version"
keep uname.txt uname -srm
keep lsmem.json lsmem --json -b -o RANGE,SIZE,STATE,NODE
keep numactl.txt numactl -H
if [ -n "$pid" ]; then
    keep numastat.txt numastat -p "$pid"
    keep numa_maps.txt cat "$proc/$pid/numa_maps"
else
    keep numastat.txt numastat -m
fi
keep damon.txt damon
