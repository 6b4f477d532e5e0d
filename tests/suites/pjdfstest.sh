#!/usr/bin/env bash
# pjdfstest, all of it, as root on a mount of the bundled backend. What fails is compared with pjdfstest.expected: the
# run fails on a failure that is not expected there, and on an expected one that passes or is no longer run.
#
#   tests/suites/pjdfstest.sh [PATTERN..]     only tests whose names contain one of these; then nothing is "not run"
#   RECORD=1 tests/suites/pjdfstest.sh        writes pjdfstest.expected anew; reasons that are known are kept
#   BRIGADE_SUITE_LOG=FILE                    keeps all that pjdfstest said
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ((EUID)); then
    echo "pjdfstest.sh must be root: most of these tests become other users, which nobody else may" >&2
    exit 1
fi
source "$here/mounted.sh"
expected=$here/pjdfstest.expected
need_tool pjdfstest 0.2.2
build

mkdir "$suite_home/beside"
# `mount -o remount,ro` asks a helper that belongs to the type of the mount, and that of libfuse knows no remount; the
# kernel does. The tests with a file system that is read-only need it.
mkdir "$suite_home/bin"
printf '#!/bin/sh\nLIBMOUNT_FORCE_MOUNT2=always exec %s -i "$@"\n' "$(command -v mount)" >"$suite_home/bin/mount"
chmod +x "$suite_home/bin/mount"

said=${BRIGADE_SUITE_LOG:-$suite_home/pjdfstest.log}
: >"$said"
run() { # ALLOW_REMOUNT PATTERN..
    cat >"$suite_home/pjdfstest.toml" <<TOML
[features]
# chflags, nfsv4_acls, stat_st_birthtime and their flags are other systems'; POSIX does not ask for rename_ctime.
secondary_fs = "$suite_home/beside"
posix_fallocate = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.01
allow_remount = $1

[dummy_auth]
# Two users that every system has.
entries = [["nobody", "$(id -gn nobody)"], ["daemon", "$(id -gn daemon)"]]
TOML
    shift
    mount_local --allow-other
    PATH=$suite_home/bin:$PATH "$tools/bin/pjdfstest" -c "$suite_home/pjdfstest.toml" -p "$mnt" -- "$@" \
        >"$suite_home/part" 2>&1 || true
    unmount
    cat "$suite_home/part" >>"$said"
    if ! grep -q '^Summary' "$suite_home/part"; then
        echo "pjdfstest did not come to its end:"
        tail -n 20 "$suite_home/part"
        exit 1
    fi
}
run false "$@"
if (($# == 0)); then
    # By themselves: a file that a failed test left open for writing keeps the mount from becoming read-only.
    run true erofs
fi

# One line a test: its name, spaces, and how it ended; reasons follow, indented. Colours are off without a terminal.
ended() { sed -n "s/^\([a-z0-9_]*::[^ ]*\) \+$1\$/\1/p" "$said" | sort -u; }
ended 'FAILED' >"$suite_home/failed"
ended 'ok' >"$suite_home/passed"
ended 'skipped' | grep -vxFf <(sort "$suite_home/failed" "$suite_home/passed") >"$suite_home/skipped" || true

if [[ -n ${RECORD:-} ]]; then
    touch "$expected"
    grep '^#' "$expected" >"$suite_home/new" || true
    while read -r name; do
        grep "^$name  *#" "$expected" ||
            printf '%-64s # %s\n' "$name" "$(grep -A 1 "^$name " "$said" | tail -n 1 | tr -s '[:space:]' ' ' | cut -c 1-100)"
    done <"$suite_home/failed" >>"$suite_home/new"
    mv "$suite_home/new" "$expected"
fi

sed -e 's/ *#.*//' -e '/^$/d' "$expected" | sort >"$suite_home/expected"
unreasoned=$(grep -v '^#' "$expected" | grep -v '^$' | grep -vE '^[^ ]+ +# .+' || true)
unexpected=$(comm -13 "$suite_home/expected" "$suite_home/failed")
mended=$(comm -12 "$suite_home/expected" "$suite_home/passed")
gone=
if (($# == 0)); then
    gone=$(comm -23 "$suite_home/expected" <(sort "$suite_home/failed" "$suite_home/passed"))
fi

echo "pjdfstest: $(wc -l <"$suite_home/passed") passed, $(wc -l <"$suite_home/failed") failed" \
    "($(wc -l <"$suite_home/expected") expected to), $(wc -l <"$suite_home/skipped") not for this system"
status=0
tell() { # TEXT NAMES
    if [[ -n $2 ]]; then
        printf '== %s\n%s\n' "$1" "$2"
        status=1
    fi
}
tell "failed, and is not in tests/suites/pjdfstest.expected" "$unexpected"
while read -r name; do
    [[ -z $name ]] || grep -A 1 "^$name " "$said" | tail -n 1
done <<<"$unexpected"
tell "expected to fail, and passes: take it out of tests/suites/pjdfstest.expected" "$mended"
tell "expected to fail, and was not run: take it out of tests/suites/pjdfstest.expected" "$gone"
tell "no reason is given in tests/suites/pjdfstest.expected" "$unreasoned"
exit $status
