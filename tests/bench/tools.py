"""The mounts that are compared: how each is started, which processes serve it, when what it took is stored, how it
ends."""

import glob
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import backend

MOUNT_SECONDS = 30
# By then the kernel has told a mount of every file that was closed.
RELEASED_SECONDS = 0.3
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A job that a tool did not do."""


class Mount:
    """A mount of a tool's bucket, fresh: nothing is cached of an earlier one."""

    tool = ""
    # Seconds without a request after which it has nothing left to send.
    quiet_seconds = 1.5
    # Seconds that it waits before it begins to send what was closed, as it is shipped.
    delay_seconds = 0.0

    def __init__(self, program, server, home, options=()):
        self.program, self.server, self.options = program, server, list(options)
        self.home = os.path.join(home, self.tool)
        shutil.rmtree(self.home, ignore_errors=True)
        self.dir = os.path.join(self.home, "mnt")
        os.makedirs(self.dir)
        self.process = None

    def start(self):
        """Mounts, and returns when the directory serves."""
        names = ("AWS_", "RCLONE_", "BRIGADE_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        env.update(HOME=self.home, AWS_ACCESS_KEY_ID=backend.KEY, AWS_SECRET_ACCESS_KEY=backend.SECRET)
        env.update(AWS_EC2_METADATA_DISABLED="true", XDG_STATE_HOME=self.home, XDG_CACHE_HOME=self.home)
        with open(os.path.join(self.home, "log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        deadline = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(self.dir):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"not mounted: {self.last_words()}")
            time.sleep(0.01)
        os.listdir(self.dir)

    def command(self):
        """What starts it in the foreground."""
        raise NotImplementedError

    def last_words(self):
        """The last line of its log."""
        with open(os.path.join(self.home, "log"), encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        return lines[-1][:200] if lines else "it says nothing"

    def pids(self):
        """All processes that serve it."""
        pids, at = [self.process.pid], 0
        while at < len(pids):
            for task in os.listdir(f"/proc/{pids[at]}/task"):
                with open(f"/proc/{pids[at]}/task/{task}/children", encoding="ascii") as children:
                    pids += [int(pid) for pid in children.read().split()]
            at += 1
        return pids

    def cpu_seconds(self):
        """User and system time of all its processes so far."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(") ")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def reset_peak(self):
        """Begins anew with the peak of memory."""
        for pid in self.pids():
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")

    def peak_bytes(self):
        """The most memory that was resident since, of all its processes."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                lines = dict(line.split(":", 1) for line in status)
            total += int(lines["VmHWM"].split()[0]) * 1024
        return total

    def wait_stored(self):
        """Returns when all that was closed is in the bucket, and says since when; at once where close says so."""
        return time.monotonic()

    def unmount_command(self):
        """How its users end it."""
        return ["umount", self.dir] if os.geteuid() == 0 else ["fusermount3", "-u", self.dir]

    def stop(self):
        """Unmounts; by force if it does not go by itself."""
        if self.process is None:
            return
        try:
            subprocess.run(self.unmount_command(), check=True, capture_output=True, timeout=120)
            self.process.wait(timeout=60)
        except (subprocess.SubprocessError, OSError):
            self.abandon()
        self.process = None

    def abandon(self):
        """Takes it away, whatever state it is in."""
        pids = self.pids() if self.process.poll() is None else []
        lazy = ["umount", "-l", self.dir] if os.geteuid() == 0 else ["fusermount3", "-u", "-z", self.dir]
        subprocess.run(lazy, check=False, capture_output=True)
        for pid in pids:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait()


class Brigade(Mount):
    tool = "brigade"

    def command(self):
        source = f"s3://{bucket(self.tool)}"
        reach = ["--endpoint-url", self.server.endpoint]
        return [self.program, "mount", "-f", source, self.dir, *reach, *self.options]

    def wait_stored(self):
        # What is removed is acknowledged a moment before it is gone.
        directory = os.open(self.dir, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return time.monotonic()

    def unmount_command(self):
        return [self.program, "umount", self.dir]


class BrigadeJournal(Brigade):
    """The same program, which acknowledges what is on local disk."""

    tool = "brigade-journal"
    delay_seconds = 1.0

    def command(self):
        self.journal = os.path.join(self.home, "journal")
        return [*super().command(), "--durability", "journal", "--journal-dir", self.journal]

    def wait_stored(self):
        # Each file that waits has its bytes there, and they go when it is stored.
        while glob.glob(os.path.join(self.journal, "*", "data-*")):
            time.sleep(0.02)
        return super().wait_stored()


class S3fs(Mount):
    tool = "s3fs"

    def command(self):
        secret = os.path.join(self.home, "passwd")
        with open(secret, "w", encoding="ascii", opener=private) as file:
            file.write(f"{backend.KEY}:{backend.SECRET}\n")
        spool = os.path.join(self.home, "tmp")
        os.mkdir(spool)
        options = f"url={self.server.endpoint},use_path_request_style,passwd_file={secret},tmpdir={spool}"
        return [self.program, bucket(self.tool), self.dir, "-f", "-o", options]


class Rclone(Mount):
    tool = "rclone"
    delay_seconds = 5.0

    def command(self):
        config = os.path.join(self.home, "rclone.conf")
        lines = ["[bench]", "type = s3", "provider = Other", f"access_key_id = {backend.KEY}"]
        lines += [f"secret_access_key = {backend.SECRET}", f"endpoint = {self.server.endpoint}", ""]
        with open(config, "w", encoding="ascii", opener=private) as file:
            file.write("\n".join(lines))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.control = f"127.0.0.1:{taken.getsockname()[1]}"
        source = f"bench:{bucket(self.tool)}"
        options = ["--vfs-cache-mode", "writes", "--cache-dir", os.path.join(self.home, "cache")]
        options += ["--rc", "--rc-addr", self.control, "--rc-no-auth"]
        return [self.program, "--config", config, "mount", source, self.dir] + options

    def wait_stored(self):
        since = None
        # The kernel tells of a close after the program has gone on, so that nothing to send may mean not yet.
        while since is None or time.monotonic() - since < RELEASED_SECONDS:
            if self.pending():
                since = None
            elif since is None:
                since = time.monotonic()
            time.sleep(0.02)
        return since

    def pending(self):
        """How many files wait to be sent or are being sent, or are being completed for that."""
        cache = self.ask("vfs/stats")["diskCache"]
        if cache["erroredFiles"]:
            raise Failed(f"{cache['erroredFiles']} files could not be stored: {self.last_words()}")
        under_way = self.ask("core/stats").get("transferring") or []
        return cache["uploadsInProgress"] + cache["uploadsQueued"] + len(under_way)

    def ask(self, what):
        """What it says about itself."""
        request = urllib.request.Request(f"http://{self.control}/{what}", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


TOOLS = {kind.tool: kind for kind in (Brigade, BrigadeJournal, S3fs, Rclone)}


def bucket(tool):
    """The bucket that a tool has for itself."""
    return f"bench-{tool}"


def private(path, flags):
    """Opens a file that is nobody else's."""
    return os.open(path, flags, 0o600)


def version(tool, program):
    """What it says of itself."""
    option = "version" if tool == "rclone" else "--version"
    text = subprocess.run([program, option], capture_output=True, text=True, check=True).stdout
    words = [word.lstrip("Vv") for word in text.split("\n")[0].split()]
    return next((word for word in words if word[:1].isdigit()), text.strip())
