#!/usr/bin/env bash
# Uses the release build in every dialect, as a person would: a large file, a tree by rsync, rename, remount, removal;
# once as the mount chooses by itself and once with --checksum md5. Ends with what the backend's request log says.
#
#   tests/workloads/dialects.sh [MIB]        size of the large file; default 1024
#
# Needs FUSE, rsync, and 4 times the size on the disk of the system's temporary directory.
set -euo pipefail
cd "$(dirname "$0")/../.."

mib=${1:-1024}
brigade=$PWD/target/release/brigade
home=$(mktemp -d)
server=0
mounted=0
finish() {
    ((mounted)) && "$brigade" umount "$home/mnt" --force || true
    ((server)) && kill "$server" && wait "$server" || true
    rm -rf "$home"
}
trap finish EXIT

cargo build --release --quiet
mkdir "$home/mnt" "$home/tree"
head -c $((mib << 20)) /dev/urandom >"$home/big"
cp -r src docs tests "$home/tree/"
big_sum=$(sha256sum <"$home/big")

export BRIGADE_ACCESS_KEY_ID=AKIDWORKLOAD BRIGADE_SECRET_ACCESS_KEY=secret-of-the-workload
BRIGADE_LOG=debug "$brigade" serve "$home/data" --listen 127.0.0.1:0 --no-sync --bucket bucket \
    >"$home/said" 2>"$home/log" &
server=$!
until grep -q '^serving' "$home/said"; do
    kill -0 "$server" || { cat "$home/log"; exit 1; }
done
endpoint=$(sed -n 's/^serving .* at //p' "$home/said")
export AWS_ACCESS_KEY_ID=$BRIGADE_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY=$BRIGADE_SECRET_ACCESS_KEY

use() { # NAME SOURCE OPTIONS..
    local name=$1 source=$2 begun=$SECONDS from
    shift 2
    from=$(wc -l <"$home/log")
    "$brigade" mount "$source" "$home/mnt" --endpoint-url "$endpoint" "$@" >/dev/null
    mounted=1
    cp "$home/big" "$home/mnt/big"
    rsync -a "$home/tree/" "$home/mnt/tree/"
    mv "$home/mnt/big" "$home/mnt/moved"
    mv "$home/mnt/tree" "$home/mnt/wood"
    "$brigade" umount "$home/mnt"
    mounted=0
    "$brigade" mount "$source" "$home/mnt" --endpoint-url "$endpoint" "$@" >/dev/null
    mounted=1
    [[ $(sha256sum <"$home/mnt/moved") == "$big_sum" ]]
    diff -r "$home/tree" "$home/mnt/wood"
    [[ -z $(rsync -ani "$home/tree/" "$home/mnt/wood/") ]]
    rm -r "$home/mnt/wood" "$home/mnt/moved"
    [[ -z $(ls -A "$home/mnt") ]]
    "$brigade" umount "$home/mnt"
    mounted=0
    echo "== $name: $((SECONDS - begun)) s"
    tail -n "+$((from + 1))" "$home/log" | grep ' answered' | grep -o 'scheme="\?[A-Za-z0-9-]*' | sort | uniq -c
    tail -n "+$((from + 1))" "$home/log" | grep ' answered' | grep -v 'status=[12]' | grep -o 'status=[0-9]*' | sort | uniq -c
}

for checksum in auto md5; do
    use "s3, checksum $checksum" s3://bucket --checksum "$checksum"
    use "s3 as JD Cloud, checksum $checksum" s3://bucket --provider jdcloud --addressing path --checksum "$checksum"
    use "jss, checksum $checksum" jss://bucket --checksum "$checksum"
    use "wos legacy, checksum $checksum" wos://bucket --signature legacy --checksum "$checksum"
    use "wos current, checksum $checksum" wos://bucket --signature current --checksum "$checksum"
done
