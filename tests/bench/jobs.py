"""The jobs: what must be in the bucket before, what is done while the clock runs, how its result is checked after."""

import os
import random
import subprocess
import time

from material import APPENDED
from material import BIG_BYTES
from material import MIB
from material import SMALL_FILES
from material import STREAMS
from tools import Failed
from tools import bucket

RANDOM_READS = 500


class Session:
    """One tool's fresh mount in one round."""

    def __init__(self, mount, server, material, number, seconds_max):
        self.mount, self.server, self.material, self.number = mount, server, material, number
        self.seconds_max = seconds_max
        self.bucket = bucket(mount.tool)
        # What a job keeps for its check.
        self.kept = None

    def at(self, name):
        """A path in the mount."""
        return os.path.join(self.mount.dir, name)

    def named(self, name):
        """A name of this round's own."""
        return f"{name}-{self.number}"

    def run(self, *commands):
        """Runs them side by side to their end; their output, joined."""
        env = dict(os.environ, LC_ALL="C", GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running = [subprocess.Popen(command, env=env, **pipes) for command in commands]
        deadline, told = time.monotonic() + self.seconds_max, []
        try:
            for process in running:
                told.append(process.communicate(timeout=max(1, deadline - time.monotonic()))[0])
        except subprocess.TimeoutExpired:
            # What waits for the mount cannot be killed before it.
            self.mount.abandon()
            raise Failed(f"not done in {self.seconds_max} s") from None
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        for process, text in zip(running, told):
            if process.returncode:
                lines = text.strip().splitlines() or ["it says nothing"]
                raise Failed(f"{process.args[0]}: status {process.returncode}: {lines[0][:200]}")
        return "".join(told)

    def forget(self, *names):
        """Removes objects past the mount."""
        for name in names:
            self.server.request("DELETE", f"/{self.bucket}/{name}")

    def hold(self, is_so, what):
        """Fails the job unless its result is right."""
        if not is_so:
            raise Failed(what)

    def hold_sums(self, name, sums):
        """Fails the job unless the bucket has exactly these files below a directory."""
        keys = [key for key in self.server.list(self.bucket, f"{name}/") if not key.endswith("/")]
        keys = [key for key in keys if not key.startswith(f"{name}/.git/")]
        found = {key.removeprefix(f"{name}/"): value for key, value in self.server.sums(self.bucket, keys).items()}
        self.hold(found == sums, f"{name}: the bucket does not have what was written")


def write(session):
    session.run(dd(session.material.big, session.at("big")))


def check_big(session):
    session.hold(session.server.sum(session.bucket, "big") == session.material.big_sum, "big: other bytes are stored")


def write_streams(session):
    blocks = BIG_BYTES // STREAMS // MIB
    shares = [(f"skip={at * blocks}", f"count={blocks}") for at in range(STREAMS)]
    session.run(*(dd(session.material.big, session.at(f"s{at}")) + list(share) for at, share in enumerate(shares)))


def check_streams(session):
    found = session.server.sums(session.bucket, [f"s{at}" for at in range(STREAMS)])
    session.hold(list(found.values()) == session.material.stream_sums, "streams: other bytes are stored")


def read(session):
    session.run(dd(session.at("big"), os.devnull))


def compare_big(session):
    session.run(["cmp", session.at("big"), session.material.big])


def read_streams(session):
    session.run(*(dd(session.at(f"s{at}"), os.devnull) for at in range(STREAMS)))


def compare_streams(session):
    share = BIG_BYTES // STREAMS
    for at in range(STREAMS):
        session.run(["cmp", "-i", f"0:{at * share}", "-n", str(share), session.at(f"s{at}"), session.material.big])


def read_random(size):
    """Reads blocks of `size` bytes here and there."""

    def job(session):
        draws = random.Random(session.number)
        session.kept = [(size * draws.randrange(BIG_BYTES // size), size) for _ in range(RANDOM_READS)]
        session.blocks = read_blocks(session.at("big"), session.kept)

    return job


def compare_blocks(session):
    session.hold(read_blocks(session.material.big, session.kept) == session.blocks, "other bytes were read")


def read_blocks(path, places):
    """These blocks of a file, one after the other."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [os.pread(descriptor, size, offset) for offset, size in places]
    finally:
        os.close(descriptor)


def append(session):
    with open(session.at("big"), "ab") as file:
        file.write(APPENDED)


def check_appended(session):
    found = session.server.sum(session.bucket, "big")
    session.hold(found == session.material.appended_sum, "big: other bytes are stored")


def copy_tree(session):
    session.run(["cp", "-r", session.material.tree, session.at(session.named("tree"))])


def check_tree(session):
    session.hold_sums(session.named("tree"), session.material.tree_sums)


def list_tree(session):
    session.kept = session.run(["ls", "-lR", session.at(session.named("tree"))])


def check_list(session):
    files = [line for line in session.kept.splitlines() if line.startswith("-")]
    session.hold(len(files) == SMALL_FILES, f"{len(files)} files are listed")


def find_tree(session):
    session.kept = session.run(["find", session.at(session.named("tree")), "-type", "f"])


def check_find(session):
    files = len(session.kept.splitlines())
    session.hold(files == SMALL_FILES, f"{files} files are found")


def rsync(session):
    session.kept = session.run(
        ["rsync", "-a", "--stats", session.material.tree + "/", session.at(session.named("rsync")) + "/"]
    )


def check_rsync(session):
    session.hold_sums(session.named("rsync"), session.material.tree_sums)


def check_rsync_again(session):
    lines = [line for line in session.kept.splitlines() if line.startswith("Number of regular files transferred")]
    session.hold(lines[0].endswith(": 0"), f"{lines[0].split(': ')[1]} files were transferred again")


def clone(session):
    session.run(["git", "clone", "-q", f"file://{session.material.repository}", session.at(session.named("clone"))])


def check_clone(session):
    session.hold_sums(session.named("clone"), session.material.repository_sums)
    session.run(["git", "-C", session.at(session.named("clone")), "fsck", "--strict", "--no-progress"])


def make_directory(session):
    os.mkdir(session.at(session.named("tar")))


def extract(session):
    session.run(["tar", "xf", session.material.archive, "-C", session.at(session.named("tar"))])


def check_extracted(session):
    session.hold_sums(session.named("tar"), session.material.tree_sums)


def remove_tree(session):
    session.run(["rm", "-r", session.at(session.named("tree"))])


def check_removed(session):
    left = session.server.list(session.bucket, session.named("tree") + "/")
    session.hold(not left, f"{len(left)} objects are left")


def dd(source, target):
    """One stream of blocks of 1 MiB."""
    return ["dd", f"if={source}", f"of={target}", "bs=1M", "status=none"]


class Job:
    """One of them. `before` is done on the same mount before the clock starts; `needs` and `gives` name what is in the
    bucket, `takes` what is not there any more afterwards; `clears` names objects that are removed before it. One that
    changes nothing does not `store`. One with `options` is done by Brigade only, mounted with them."""

    def __init__(
        self, name, title, run, check, before=None, needs=(), gives=(), takes=(), clears=(), store=True, options=()
    ):
        self.name, self.title, self.run, self.check, self.before = name, title, run, check, before
        self.needs, self.gives, self.takes, self.clears = needs, gives, takes, clears
        self.store, self.options = store, options


READS = {"needs": ["big"], "store": False}
STREAM_NAMES = tuple(f"s{at}" for at in range(STREAMS))

# In the order of a round.
JOBS = [
    Job("write", "write 1 GiB", write, check_big, gives=["big"], clears=["big"]),
    Job(
        "write-crc",
        "write 1 GiB with `--provider brigade`",
        write,
        check_big,
        gives=["big"],
        clears=["big"],
        options=["--provider", "brigade"],
    ),
    Job("read", "read 1 GiB, cold", read, compare_big, **READS),
    Job("reread", "read it again", read, compare_big, before=read, **READS),
    Job("write-4", "write 4 streams of 256 MiB", write_streams, check_streams, gives=["s"], clears=STREAM_NAMES),
    Job("read-4", "read 4 streams of 256 MiB, cold", read_streams, compare_streams, needs=["s"], store=False),
    Job("random-4k", f"{RANDOM_READS} random reads of 4 KiB", read_random(4 << 10), compare_blocks, **READS),
    Job("random-64k", f"{RANDOM_READS} random reads of 64 KiB", read_random(64 << 10), compare_blocks, **READS),
    Job("append", "append a byte to 1 GiB", append, check_appended, needs=["big"], takes=["big"]),
    Job("cp", f"`cp -r` of {SMALL_FILES:,} small files", copy_tree, check_tree, gives=["tree"]),
    Job("ls", "`ls -lR` of them", list_tree, check_list, needs=["tree"], store=False),
    Job("find", "`find` of them", find_tree, check_find, needs=["tree"], store=False),
    Job("rsync", "`rsync -a` of them, first", rsync, check_rsync, gives=["rsync"]),
    Job("rsync-again", "`rsync -a` of them, second", rsync, check_rsync_again, needs=["rsync"]),
    Job("git", "`git clone` of 200 files", clone, check_clone),
    Job("tar", f"`tar x` of {SMALL_FILES:,} small files", extract, check_extracted, before=make_directory),
    Job("rm", f"`rm -r` of {SMALL_FILES:,} small files", remove_tree, check_removed, needs=["tree"], takes=["tree"]),
]
