"""What the jobs read and write: a large file, a tree of small ones, the tree as an archive, a repository. All of it
comes from one seed."""

import hashlib
import os
import random
import subprocess

MIB = 1 << 20
BIG_BYTES = 1024 * MIB
STREAMS = 4
SMALL_FILES = 2000
SMALL_FILES_PER_DIRECTORY = 100
SMALL_BYTES_MAX = 8192
COMMITS = 20
APPENDED = b"x"


class Material:
    """The files, made once for a run, and the sums that they have."""

    def __init__(self, home, seed):
        self.home = os.path.join(home, "material")
        os.mkdir(self.home)
        draws = random.Random(seed)
        self.big, self.tree, self.archive, self.repository = map(self.path, ("big", "tree", "tree.tar", "repository"))
        self.make_big(draws)
        self.make_tree(draws)
        subprocess.run(["tar", "cf", self.archive, "-C", self.tree, "."], check=True)
        self.make_repository()

    def path(self, name):
        """Where one of them is."""
        return os.path.join(self.home, name)

    def make_big(self, draws):
        """The large file, with the sums of all of it, of it with a byte more, and of each stream's share."""
        whole, self.stream_sums = hashlib.sha256(), []
        with open(self.big, "wb") as file:
            for _ in range(STREAMS):
                share = hashlib.sha256()
                for _ in range(BIG_BYTES // STREAMS // MIB):
                    block = draws.randbytes(MIB)
                    file.write(block)
                    whole.update(block)
                    share.update(block)
                self.stream_sums.append(share.hexdigest())
        self.big_sum = whole.hexdigest()
        whole.update(APPENDED)
        self.appended_sum = whole.hexdigest()

    def make_tree(self, draws):
        """The small files, and the sum of each."""
        for at in range(SMALL_FILES):
            directory = os.path.join(self.tree, f"d{at // SMALL_FILES_PER_DIRECTORY:02}")
            os.makedirs(directory, exist_ok=True)
            with open(os.path.join(directory, f"f{at:04}"), "wb") as file:
                file.write(draws.randbytes(draws.randint(1, SMALL_BYTES_MAX)))
        self.tree_sums = sums(self.tree)

    def make_repository(self):
        """A repository with some commits of a tenth of the small files, in one pack."""
        os.mkdir(self.repository)
        self.git("init", "-q")
        names = sorted(self.tree_sums)[: SMALL_FILES // 10]
        for at in range(COMMITS):
            for name in names[at::COMMITS]:
                target = os.path.join(self.repository, name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.link(os.path.join(self.tree, name), target)
            self.git("add", ".")
            self.git("-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", f"number {at}")
        self.git("gc", "-q")
        self.repository_sums = {name: self.tree_sums[name] for name in names}

    def git(self, *arguments):
        """Runs git in the repository, as if nobody had configured it."""
        env = dict(os.environ, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
        subprocess.run(["git", *arguments], cwd=self.repository, check=True, env=env, stdout=subprocess.DEVNULL)


def sums(directory):
    """SHA-256 of each file below, by its path."""
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
