"""Runs the real binary the way a container would: an unprivileged user, a root that nobody can write, named mounts.

By bubblewrap. The root holds the binary, the libraries that distroless/cc has too, the system's certificates, and
nothing else: no shell, no time zones. As root it becomes the image's user for real; another user is shown as that one.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

USER = 65532
# What distroless/cc brings of libraries.
LIBRARIES = ("libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libdl.so", "libpthread.so", "librt.so", "libstdc++.so")
IS_ROOT = os.geteuid() == 0


class Failed(Exception):
    """Something is not as a deployment needs it."""


def libraries(binary):
    """The shared libraries of the binary; the image must have each of them."""
    told = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    found = [path for path in re.findall(r"(/\S+) \(0x", told)]
    for path in found:
        if not pathlib.Path(path).name.startswith(LIBRARIES):
            raise Failed(f"the binary needs {path}, which is not in the image's base")
    return found


class Image:
    """The binary in a place where everybody may read it."""

    def __init__(self, binary, folder):
        self.binary = folder / "ferry"
        shutil.copy(binary, self.binary)
        self.binary.chmod(0o755)
        self.libraries = libraries(self.binary)
        self.etc = folder / "etc"
        self.etc.mkdir()
        (self.etc / "passwd").write_text(f"nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n", encoding="utf-8")

    def words(self, mounts, readable):
        """bubblewrap's command line for these mounts: paths inside, to folders outside and whether they are written."""
        told = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"]
        told += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        if not IS_ROOT:
            told += ["--uid", str(USER), "--gid", str(USER)]
        told += ["--dir", "/usr/local/bin", "--ro-bind", str(self.binary), "/usr/local/bin/ferry"]
        told += ["--ro-bind", str(self.etc / "passwd"), "/etc/passwd", "--proc", "/proc", "--dev", "/dev"]
        for path in self.libraries:
            told += ["--ro-bind", path, path]
        for path in ("/etc/ssl/certs", "/etc/resolv.conf", "/etc/hosts"):
            told += ["--ro-bind-try", path, path]
        for inside, outside in mounts.items():
            # A tmpfs is made anew for each start, like an emptyDir in memory.
            told += ["--tmpfs", inside] if outside is None else ["--bind", str(outside), inside]
        for inside, outside in readable.items():
            told += ["--ro-bind", str(outside), inside]
        # /dev is writable for who owns it; the image's user owns it here as in a container.
        return told + ["--remount-ro", "/"]


def as_user(words):
    """The command as the image's user, with no right of root left."""
    if not IS_ROOT:
        return words
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", "--", *words]


class Container:
    """Mounts and an environment, in which commands of the image run."""

    def __init__(self, image, environment, mounts, readable):
        self.image, self.environment = image, environment
        self.mounts, self.readable = mounts, readable

    def start(self, words, more=None, mounts=None):
        """Starts a command of the image; its output goes to a file."""
        told = self.image.words(self.mounts if mounts is None else mounts, self.readable)
        for name, value in {**self.environment, **(more or {})}.items():
            told += ["--setenv", name, value]
        output = tempfile.TemporaryFile()
        told += ["--info-fd", "3", "/usr/local/bin/ferry", *words]
        return Started(as_user(["bash", "-c", 'exec "$@" 3>/dev/null', "-", *told]), output)

    def run(self, words, limit=120, **how):
        """Runs a command to its end: exit code and output."""
        started = self.start(words, **how)
        return started.ended(limit), started.output()


class Started:
    """A command that runs."""

    def __init__(self, words, output):
        self.file = output
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")

    def inner(self):
        """The process inside, by its id outside: the child of bubblewrap, which is the first of its own namespace."""
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = path.read_text(encoding="utf-8").split()
        return int(children[0]) if children else None

    def terminate(self):
        """What a container runtime does: SIGTERM to the first process."""
        if (inner := self.inner()) is not None:
            os.kill(inner, signal.SIGTERM)

    def is_up(self):
        return self.process.poll() is None

    def ended(self, limit):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"it did not end within {limit} s:\n{self.output()}") from None

    def kill(self):
        """Only for what went wrong: bubblewrap takes the process inside with it."""
        if self.is_up():
            self.process.kill()
            self.process.wait()

    def output(self):
        self.file.seek(0)
        return self.file.read().decode(errors="replace")
