#!/usr/bin/env bash
# Real programs on a mount of the bundled backend, each held to what it does on a disk, again after a remount where it
# leaves something behind. Says of each what came of it; a program that is missing is "not run", by name.
#
#   tests/suites/programs.sh [NAME..]      only these; names are the functions below, without `do_`
#   PYTHON_PACKAGES=1                      h5py and pyarrow too, installed from PyPI into a directory of BRIGADE_TOOLS
#   STRICT=1                               fails when something was not run
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/mounted.sh"
build

# Nothing of this machine's user is to decide how programs behave.
export HOME=$suite_home/user LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1
mkdir -p "$HOME"
git config --global user.name tester 2>/dev/null && git config --global user.email tester@example.org &&
    git config --global init.defaultBranch main || true
out=$suite_home/out
mkdir "$out"

# A source tree as people have them: this one, with links, modes and old times.
plant() {
    local root=$suite_home/source
    [[ -d $root ]] && return
    mkdir "$root"
    cp -r "$tree/src" "$tree/docs" "$root"
    ln -s src/main.rs "$root/link"
    ln -s nowhere "$root/dangling"
    mkdir -p "$root/empty" "$root/a name with spaces/ü"
    head -c 300000 /dev/urandom >"$root/a name with spaces/ü/noise"
    chmod 755 "$root/src/main.rs"
    chmod 600 "$root/src/lib.rs"
    find "$root" -type f -exec touch -d '2011-12-13 14:15:16.171819202' {} +
}

remount() {
    cd "$suite_home"
    unmount
    mount_local
    cd "$mnt"
}

do_git() { # clone, commit, branch, gc, fsck
    local origin=$suite_home/origin
    plant
    cp -r "$suite_home/source" "$origin"
    (
        cd "$origin"
        git init -q && git add -A && git commit -qm one
        for n in 2 3 4 5; do echo "$n" >>docs/semantics.md && git commit -qam "$n"; done
    )
    git clone -q --no-local "$origin" repo
    cd repo
    git fsck --strict --no-progress
    echo changed >>src/lib.rs
    git add -A && git commit -qm changed
    git checkout -qb other HEAD~2
    echo other >other && git add other && git commit -qm other
    git merge -q -m merged main
    git gc -q --prune=now
    git fsck --strict --no-progress
    [[ -z $(git status --porcelain) ]]
    git log --oneline | wc -l >"$out/git.log"
    remount
    cd repo
    git fsck --strict --no-progress
    [[ -z $(git status --porcelain) ]]
    [[ $(git log --oneline | wc -l) == "$(cat "$out/git.log")" ]]
    git clone -q . ../again
    cd ..
    rm -rf repo again
}

do_sed() { # sed -i, which writes beside and renames
    seq 1000 >numbers
    chmod 640 numbers
    sed -i 's/^7$/seven/' numbers
    sed -i.orig '1d' numbers
    [[ $(sed -n 6p numbers) == seven && $(wc -l <numbers.orig) == 1000 && $(stat -c %a numbers) == 640 ]]
}

do_vim() { # ex mode, with a swap file, and a backup
    local vim=vim
    command -v vim >/dev/null || { need vim.tiny && vim=vim.tiny; }
    seq 100 >edited
    $vim -u NONE -es -c 'set backup backupskip= backupcopy=auto' -c '50d' -c '$s/$/ last/' -c 'wq' edited </dev/null
    [[ $(wc -l <edited) == 99 && $(tail -n 1 edited) == "100 last" ]]
    $vim -u NONE -es -c 'set backup backupskip= backupcopy=yes' -c 'normal ggOfirst' -c 'wq' edited </dev/null
    [[ $(head -n 1 edited) == first && $(wc -l <edited~) == 99 ]]
    [[ -z $(find . -name '.*.sw?' -o -name 4913) ]]
}

do_zip() { # the sizes are written over the heads at the end
    need zip unzip
    plant
    (cd "$suite_home/source" && zip -qry "$mnt/source.zip" .)
    unzip -tqq source.zip
    zip -q source.zip -j "$tree/README.md"
    zip -qd source.zip 'docs/*'
    unzip -tqq source.zip
    mkdir unzipped
    unzip -qq source.zip -d unzipped
    diff -r "$suite_home/source/src" unzipped/src
}

do_tar() { # out of and into the mount, compared with times and links
    plant
    tar -C "$suite_home/source" -cf "$out/source.tar" .
    mkdir untarred
    tar -C untarred -xpf "$out/source.tar"
    tar -C untarred -df "$out/source.tar"
    tar -C untarred -cf again.tar .
    tar -C "$suite_home/source" -df again.tar
    remount
    tar -C "$mnt/untarred" -df "$out/source.tar"
    tar -rf "$mnt/again.tar" -C "$tree" README.md
    tar -tf "$mnt/again.tar" | grep -qx README.md
}

do_sqlite() { # rollback journal and write-ahead log
    need sqlite3
    for mode in delete truncate persist wal; do
        sqlite3 "$mode.db" "pragma journal_mode=$mode; create table t(a integer primary key, b blob);
            create index i on t(b);" >/dev/null
        for n in 1 2 3; do
            sqlite3 "$mode.db" "begin; with recursive c(x) as (select 1 union all select x+1 from c where x<500)
                insert into t(b) select randomblob(300) from c; commit;
                begin; delete from t where a%3=$n%3; rollback; delete from t where a%7=$n;"
        done
        # Two programs at a time: one holds a transaction, the other must wait for it and see all of it.
        sqlite3 "$mode.db" "pragma busy_timeout=20000; insert into t(b) values('left');" >/dev/null &
        sqlite3 "$mode.db" "pragma busy_timeout=20000; insert into t(b) values('right');" >/dev/null
        wait $!
        sqlite3 "$mode.db" 'vacuum'
        [[ $(sqlite3 "$mode.db" 'pragma integrity_check') == ok ]]
        [[ $(sqlite3 "$mode.db" "select count(*) from t where b in ('left','right')") == 2 ]]
        sqlite3 "$mode.db" 'select count(*), sum(length(b)) from t' >"$out/$mode.count"
    done
    remount
    for mode in delete truncate persist wal; do
        [[ $(sqlite3 "$mnt/$mode.db" 'pragma integrity_check') == ok ]]
        sqlite3 "$mnt/$mode.db" 'select count(*), sum(length(b)) from t' | cmp - "$out/$mode.count"
    done
}

do_rsync() { # -a --delete, --inplace, --append-verify, --partial
    need rsync
    plant
    rsync -a "$suite_home/source/" copy/
    [[ -z $(rsync -ai --checksum --delete "$suite_home/source/" copy/) ]]
    cp -a "$suite_home/source" "$out/changed"
    rm -r "$out/changed/src/vfs"
    head -c 6000000 /dev/urandom >"$out/changed/large"
    rsync -a --delete "$out/changed/" copy/
    diff -r --no-dereference "$out/changed" copy
    printf patched | dd of="$out/changed/large" bs=1 seek=2500000 conv=notrunc status=none
    truncate -s 5500000 "$out/changed/large"
    rsync -a --inplace --no-whole-file "$out/changed/large" copy/
    cmp "$out/changed/large" copy/large
    head -c 1000000 /dev/urandom >>"$out/changed/large"
    rsync -a --append-verify "$out/changed/large" copy/
    cmp "$out/changed/large" copy/large
    rsync -a --partial --sparse --no-whole-file "$out/changed/" copy/
    remount
    [[ -z $(rsync -ai --delete "$out/changed/" "$mnt/copy/") ]]
    rm -r "$out/changed"
}

do_copytruncate() { # logrotate's, by hand: the writer goes on with O_APPEND while its log is copied and emptied
    mkfifo "$out/lines"
    cat "$out/lines" >>app.log &
    local writer=$!
    exec 5>"$out/lines"
    seq 1 500 >&5
    until [[ $(stat -c %s app.log) == 1892 ]]; do kill -0 $writer; done
    cp app.log app.log.1
    truncate -s 0 app.log
    seq 501 1000 >&5
    exec 5>&-
    wait $writer
    cat app.log.1 app.log | cmp - <(seq 1000)
    if command -v logrotate >/dev/null; then
        printf '%s/app.log {\n copytruncate\n rotate 3\n}\n' "$mnt" >"$out/rotate.conf"
        logrotate -f -s "$out/rotate.state" "$out/rotate.conf"
        [[ $(stat -c %s app.log) == 0 ]]
        cat app.log.2 app.log.1 | cmp - <(seq 1000)
    fi
}

do_dd() { # patches in the middle
    head -c 20000000 /dev/urandom >"$out/image"
    cp "$out/image" image
    for at in 0 4095 5242879 8388608 19999990; do
        for to in "$out/image" image; do
            printf 'patch at %s' "$at" | dd of="$to" bs=1 seek=$at conv=notrunc status=none
        done
    done
    dd if=/dev/zero of="$out/image" bs=64k seek=17 count=30 conv=notrunc,fsync status=none
    dd if=/dev/zero of=image bs=64k seek=17 count=30 conv=notrunc,fsync status=none
    for to in "$out/image" image; do
        fallocate -p -o 1000000 -l 3000000 "$to"
        truncate -s 12345678 "$to"
        truncate -s 15000000 "$to"
    done
    cmp "$out/image" image
    remount
    cmp "$out/image" "$mnt/image"
}

do_editors_habits() { # lock files, backups, links that are not there, unlinked temporary files
    set -C
    : >lock
    ! (: >lock) 2>/dev/null
    set +C
    echo content >file
    ! ln file hard 2>/dev/null
    cp -p file file~ && mv file~ file && mv -n file kept && [[ $(cat kept) == content ]]
    exec 6<>unlinked
    rm unlinked
    echo still >&6
    [[ $(head -c 5 /dev/fd/6 2>/dev/null || true) == "" || ! -e unlinked ]]
    exec 6>&-
    flock lock true
    if command -v python3 >/dev/null; then
        # Asks for a file without a name first (O_TMPFILE).
        python3 -c 'import tempfile
with tempfile.TemporaryFile(dir=".") as file:
    file.write(b"x") and file.seek(0)
    assert file.read() == b"x"'
        [[ -z $(find . -name "tmp*") ]]
    fi
}

do_hard_links() { # which there are not: who can do without does, who cannot says so and brings the rest
    need rsync
    mkdir "$out/linked"
    echo content >"$out/linked/one"
    ln "$out/linked/one" "$out/linked/two"
    cp -r "$out/linked" copied
    rsync -a "$out/linked/" synced/
    tar -C "$out/linked" --hard-dereference -cf "$out/whole.tar" .
    mkdir unpacked
    tar -C unpacked -xf "$out/whole.tar"
    for copy in copied synced unpacked; do diff -r "$out/linked" $copy; done
    tar -C "$out/linked" -cf "$out/linked.tar" .
    mkdir partly
    ! tar -C partly -xf "$out/linked.tar" 2>"$out/tar.said"
    grep -q 'Cannot hard link' "$out/tar.said"
    [[ $(cat partly/*) == content ]]
}

do_python() { # h5py and pyarrow: headers written over, footers read first
    [[ -n ${PYTHON_PACKAGES:-} ]] || missing "PYTHON_PACKAGES is not set"
    need python3
    if ! "$tools/python/bin/python" -c 'import h5py, pyarrow' 2>/dev/null; then
        { python3 -m venv "$tools/python" && "$tools/python/bin/pip" install --quiet --no-cache-dir h5py pyarrow; } ||
            missing "h5py and pyarrow cannot be installed"
    fi
    "$tools/python/bin/python" - "$mnt" <<'PYTHON'
import sys, h5py, numpy, pyarrow, pyarrow.parquet
root = sys.argv[1]
want = numpy.arange(2_000_000, dtype="f8").reshape(2000, 1000)
with h5py.File(f"{root}/x.h5", "w") as f:
    f.create_dataset("d", data=want, chunks=(100, 100), compression="gzip")
with h5py.File(f"{root}/x.h5", "r+") as f:
    f["d"][5, :] = -1
    f.create_dataset("e", data=[1, 2, 3])
want[5, :] = -1
with h5py.File(f"{root}/x.h5", "r") as f:
    assert (f["d"][...] == want).all() and list(f["e"]) == [1, 2, 3]
table = pyarrow.table({"a": list(range(100_000)), "b": [str(n) for n in range(100_000)]})
pyarrow.parquet.write_table(table, f"{root}/x.parquet", row_group_size=10_000)
assert pyarrow.parquet.read_table(f"{root}/x.parquet").equals(table)
PYTHON
}

# Status of a function that could not be run, as automake has it.
not_run=77
missing() {
    echo "$*" >"$suite_home/missing"
    exit $not_run
}
need() {
    for program in "$@"; do
        command -v "$program" >/dev/null || missing "$program is not installed"
    done
}

names=("$@")
if ((${#names[@]} == 0)); then
    mapfile -t names < <(sed -n 's/^do_\([a-z_]*\)().*/\1/p' "${BASH_SOURCE[0]}")
fi
failed=()
skipped=()
for name in "${names[@]}"; do
    begun=$SECONDS
    rm -rf "$out" "$suite_home/data" "$mnt" "$suite_home/missing"
    mkdir "$out"
    status=0
    # In a shell of its own: whatever it fails at, the next one begins afresh.
    (
        set -eE
        trap 'echo "line $LINENO: $BASH_COMMAND" >>"$suite_home/where"' ERR
        trap 'cd /; abandon' EXIT
        mount_local
        cd "$mnt"
        "do_$name"
        cd "$suite_home"
        unmount
    ) >"$suite_home/said.$name" 2>&1 &
    # Waited for instead of called, so that `set -e` holds inside.
    wait $! || status=$?
    if ((status == not_run)); then
        skipped+=("$name")
        echo "programs, $name: not run: $(cat "$suite_home/missing")"
    elif ((status)); then
        failed+=("$name")
        echo "programs, $name: FAILED ($status)"
        head -n 1 "$suite_home/where" 2>/dev/null | sed 's/^/    /' || true
        tail -n 8 "$suite_home/said.$name" | sed 's/^/    /'
    else
        echo "programs, $name: ok, $((SECONDS - begun)) s"
    fi
    rm -f "$suite_home/where"
done
((${#failed[@]} == 0)) || { echo "programs: FAILED: ${failed[*]}" && exit 1; }
[[ -z ${STRICT:-} || ${#skipped[@]} == 0 ]] || { echo "programs: not run: ${skipped[*]}" && exit 1; }
