# What the suites here share: the program, a mount of a fresh `local:` bucket, and its end. Sourced, not run.
#
#   BRIGADE        the program [default: target/debug/brigade of this tree, built if need be]
#   PLAIN=1        a plain directory instead of a mount: shows whether it is the suite that is wrong
#   BRIGADE_TOOLS  where tools that cargo installs are kept [default: ~/.cache/brigade-tools]
# shellcheck shell=bash

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${BRIGADE_TOOLS:-$HOME/.cache/brigade-tools}
suite_home=$(mktemp -d)
# Other users, as whom pjdfstest does some of its tests, must get to the mount.
chmod 755 "$suite_home"
mnt=$suite_home/mnt
mount_pid=0

build() {
    if [[ -z ${BRIGADE:-} && -z ${PLAIN:-} ]]; then
        cargo build --quiet --manifest-path "$tree/Cargo.toml"
        BRIGADE=${CARGO_TARGET_DIR:-$tree/target}/debug/brigade
    fi
}

# Installs a tool of exactly this version, unless it is there: need_tool NAME VERSION
need_tool() {
    local list="$tools/.crates.toml"
    if [[ ! -x $tools/bin/$1 ]] || ! grep -qs "^\"$1 $2 " "$list"; then
        echo "== installing $1 $2 in $tools"
        cargo install --quiet --locked --root "$tools" "$1@$2"
    fi
}

# Mounts the bucket kept in $suite_home/data: mount_local OPTIONS..
mount_local() {
    mkdir -p "$mnt"
    [[ -z ${PLAIN:-} ]] || return 0
    rm -f "$suite_home/said"
    "$BRIGADE" mount -f "local:$suite_home/data" "$mnt" "$@" >"$suite_home/said" 2>>"$suite_home/log" &
    mount_pid=$!
    until grep -qs '^mounted' "$suite_home/said"; do
        kill -0 "$mount_pid" 2>/dev/null || { echo "not mounted:" && cat "$suite_home/log" && return 1; }
        read -rt 0.05 <> <(:) || true
    done
}

# Stores what is pending and ends the mount; fails if anything could not be stored.
unmount() {
    [[ -z ${PLAIN:-} ]] || return 0
    "$BRIGADE" umount "$mnt" >"$suite_home/umount" 2>&1 || { cat "$suite_home/umount" && return 1; }
    wait "$mount_pid"
    mount_pid=0
}

# Takes the mount away, whatever state it is in.
abandon() {
    # A process number of 0 would be this whole group.
    ((mount_pid)) || return 0
    umount -l "$mnt" 2>/dev/null || fusermount3 -u -z "$mnt" 2>/dev/null || true
    kill "$mount_pid" 2>/dev/null && wait "$mount_pid" || true
    mount_pid=0
}

tidy_up() {
    local status=$?
    cd /
    abandon
    if ((status)) && [[ -s $suite_home/log ]]; then
        echo "== the end of the mount's log"
        tail -n 20 "$suite_home/log"
    fi
    rm -rf --one-file-system "$suite_home"
    exit "$status"
}
trap tidy_up EXIT
