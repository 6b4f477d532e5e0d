#!/usr/bin/env bash
# Minutes of mixed load on a mount whose backend fails now and then: cp, rsync, git, fio with verify (if it is there), storms
# of renames. Fails when something that was acknowledged reads back wrong, when an operation takes longer than its deadline, or
# when memory, descriptors or threads of the mount still grow in the second half.
#
#   tests/suites/soak.sh                 two minutes
#   SOAK_SECONDS=600 tests/suites/soak.sh   the long run
#   SOAK_SEED=N                          repeats the draws of the faults
#   SOAK_DEADLINE=180                    seconds that one step may take
#   SOAK_DURABILITY=journal              with a journal
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/mounted.sh"
build

seconds=${SOAK_SECONDS:-120}
deadline=${SOAK_DEADLINE:-180}
seed=${SOAK_SEED:-$((RANDOM << 15 | RANDOM))}
echo "== soak for $seconds s; again with SOAK_SEED=$seed"
cat >"$suite_home/plan" <<PLAN
seed = $seed
[[rule]]
fault = "latency"
delay = "1ms"
delay_max = "2s"
spread = "long-tail"
probability = 0.1
[[rule]]
fault = "lost-answer"
probability = 0.01
[[rule]]
fault = "reset"
at = "in-body"
probability = 0.01
[[rule]]
fault = "reset"
at = "in-answer"
probability = 0.01
[[rule]]
fault = "status"
status = 503
probability = 0.02
PLAN
mount_local --part-size 5MiB --faults "$suite_home/plan" --durability "${SOAK_DURABILITY:-bucket}"
work=$suite_home/work
mkdir "$work"

# Runs a step within its deadline: step NAME COMMAND..
step() {
    local begun=$SECONDS name=$1
    shift
    local status=0
    timeout "$deadline" "$@" >"$suite_home/step.log" 2>&1 || status=$?
    ((status != 124)) || { echo "soak: $name took longer than $deadline s" && return 1; }
    ((status == 0)) || { cat "$suite_home/step.log" && echo "soak: $name FAILED ($status)" && return 1; }
    longest=$((SECONDS - begun > longest ? SECONDS - begun : longest))
}

# What the mount holds now: kilobytes of memory, descriptors, threads.
sample() {
    [[ -z ${PLAIN:-} ]] || { echo 0 0 0 && return; }
    local rss threads fds worker
    # The one that serves it.
    read -r worker <"/proc/$mount_pid/task/$mount_pid/children"
    rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$worker/status")
    threads=$(awk '/^Threads/ { print $2 }' "/proc/$worker/status")
    fds=$(find "/proc/$worker/fd" -mindepth 1 2>/dev/null | wc -l)
    echo "$rss $fds $threads"
}

round() { # N
    local dir=$mnt/$1
    mkdir "$dir"
    head -c 13M /dev/urandom >"$work/large"
    step "cp" cp "$work/large" "$dir/large"
    step "compare" cmp "$work/large" "$dir/large"
    rm -rf "$work/tree" && mkdir "$work/tree"
    for i in {1..15}; do head -c "$((RANDOM % 30000))" /dev/urandom >"$work/tree/$i"; done
    step "rsync" rsync -a "$work/tree/" "$dir/tree/"
    step "diff" diff -r "$work/tree" "$dir/tree"
    step "git" bash -c "cd '$dir' && git init -q g && cd g && cp ../tree/1 . && git add . &&
        git -c user.name=a -c user.email=a@example.org commit -qm one && git fsck --strict"
    if command -v fio >/dev/null; then
        step "fio" fio --name=v --directory="$dir" --rw=randwrite --bs=64k --size=8m --verify=crc32c --do_verify=1 \
            --randseed="$seed" --end_fsync=1 --verify_fatal=1
    fi
    step "renames" bash -c "cd '$dir/tree' && for i in {1..15}; do mv \$i r\$i; done && mv r1 r2 && ls | wc -l | grep -qx 14"
    step "removal" rm -rf "$dir"
}

longest=0 rounds=0 half=""
until ((SECONDS >= seconds && rounds >= 2)); do
    rounds=$((rounds + 1))
    round "$rounds"
    if [[ -z $half ]] && ((SECONDS * 2 >= seconds)); then half=$(sample); fi
done
read -r rss fds threads <<<"$(sample)"
read -r rss_half fds_half threads_half <<<"$half"
echo "== $rounds rounds, the longest step $longest s; at half time $half, at the end $rss $fds $threads (KiB, descriptors, threads)"
# What caches and pools still take is little beside what a leak takes in a hundred requests a second.
((rss <= rss_half * 3 / 2 + 65536)) || { echo "soak: memory grows" && exit 1; }
((fds <= fds_half + 64)) || { echo "soak: descriptors grow" && exit 1; }
((threads <= threads_half + 32)) || { echo "soak: threads grow" && exit 1; }
[[ -z $(ls -A "$mnt") ]] || { echo "soak: litter" && ls -lA "$mnt" && exit 1; }
unmount
