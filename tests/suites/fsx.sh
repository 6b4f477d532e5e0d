#!/usr/bin/env bash
# fsx on a mount of the bundled backend: random reads, writes, truncations, mappings, holes and copies within one file,
# each read compared with what was written. Once with the default memory and with little, so that extents spill: to hidden
# objects, and to local disk.
#
#   tests/suites/fsx.sh [OPERATIONS] [SEED..]     default: 100000 operations, three seeds drawn anew
#   FSX_LITTLE=N                                  operations where memory is little; a fiftieth of the others by default
#   FSX_ONLY=read,write,..                        weighs all other operations with nothing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/mounted.sh"
need_tool fsx 0.3.2
build

operations=${1:-100000}
little=${FSX_LITTLE:-$((operations / 50))}
seeds=("${@:2}")
if ((${#seeds[@]} == 0)); then
    seeds=($((RANDOM << 15 | RANDOM)) $((RANDOM << 15 | RANDOM)) $((RANDOM << 15 | RANDOM)))
fi

# The file's greatest length and the longest operation: small files go out whole, large ones are patched by parts. No
# operation is empty: fsx takes the EINVAL of an empty posix_fallocate, which Linux gives on every filesystem, for a failure.
config() { # FLEN OPSIZE
    echo "flen = $1"
    printf '[opsize]\nmin = 1\nmax = %s\n[weights]\n' "$2"
    local weights=(read=10 write=10 mapread=5 mapwrite=5 truncate=3 invalidate=1 close_open=1 fsync=0.2 fdatasync=0.2
        posix_fallocate=1 punch_hole=1 sendfile=1 posix_fadvise=1 copy_file_range=2)
    for weight in "${weights[@]}"; do
        [[ -n ${FSX_ONLY:-} && ,$FSX_ONLY, != *,${weight%=*},* ]] && weight=${weight%=*}=0
        echo "${weight%=*} = ${weight#*=}"
    done
}

run() { # WHAT FLEN OPSIZE OPERATIONS OPTIONS..
    local what=$1 flen=$2 opsize=$3 count=$4
    shift 4
    config "$flen" "$opsize" >"$suite_home/fsx.toml"
    mount_local "$@"
    for seed in "${seeds[@]}"; do
        local begun=$SECONDS
        if ! "$tools/bin/fsx" -f "$suite_home/fsx.toml" -N "$count" -S "$seed" -P "$suite_home" "$mnt/$seed" \
            >"$suite_home/fsx.log" 2>&1; then
            tail -n 40 "$suite_home/fsx.log"
            echo "fsx, $what: FAILED with seed $seed; again with: tests/suites/fsx.sh $operations $seed"
            return 1
        fi
        echo "fsx, $what: $count operations, seed $seed, $((SECONDS - begun)) s"
        rm "$mnt/$seed"
    done
    unmount
}

run "files of 256 KiB" $((256 << 10)) $((64 << 10)) "$operations"
# Some hundred bytes below three parts, so that no length that counts falls on a boundary by itself.
run "files of 15 MiB" $(((15 << 20) - 321)) $((1 << 20)) $((operations / 20)) --part-size 5MiB
run "files of 48 MiB in 16 MiB of memory" $(((48 << 20) - 321)) $((2 << 20)) "$little" \
    --part-size 5MiB --memory-limit 16MiB
run "files of 48 MiB in 16 MiB of memory and a local directory" $(((48 << 20) - 321)) $((2 << 20)) "$little" \
    --part-size 5MiB --memory-limit 16MiB --journal-dir "$suite_home/spilled"
