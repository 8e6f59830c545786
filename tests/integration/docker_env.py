#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Docker engine for tests. Standard library only.

    import docker_env
    engine = docker_env.engine()            once a process; raises harness.Skip "SKIP(docker): reason" where it cannot be
    engine.socket  engine.host              path of its socket; the same as unix://..., for DOCKER_HOST
    engine.env()                            {"DOCKER_HOST": ...}: pass as env= to harness.run or harness.profcore
    engine.docker("ps", "-a", timeout=60)   -> harness.Result of the docker client; .ok() asserts success
    engine.compose("-f", FILE, "up", "-d")  -> harness.Result of docker-compose (skips when there is none)
    engine.base_image()                     -> "debian:bookworm-slim", made when it is missing (the first time takes minutes)
    engine.build(folder, tag, *args)        -> tag: docker build, without network unless args say so
    engine.image_of(name, files, ...)       -> tag of an image that holds just these files (see there)
    with engine.run(image, *words, name=None, options=[...]) as c:    a container, removed at the end of the block
        c.id  c.name  c.pid  c.ip  c.port(8080)  c.inspect()  c.exec(*words)  c.logs()  c.restart()  c.kill()
    engine.unique("web")                    a container name that no other test uses
    with docker_env.remapped_engine(folder) as engine:    another one, with --userns-remap

The engine is the one at $DOCKER_HOST or /var/run/docker.sock where that answers; else this file starts dockerd with its own
socket, data and runtime folders (RUN, STATE below), which never meet those of a system's engine. Several test programs share
it: each holds a shared lock, and the last one to end stops what was started. `docker_env.py start` keeps it up until
`docker_env.py stop`; `docker_env.py env` prints the line for a shell; `docker_env.py image` makes the base image.
"""

import atexit
import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

import harness

RUN = pathlib.Path("/run/profcore-test")
STATE = pathlib.Path("/var/lib/profcore-test")
SOCKET = RUN / "docker.sock"
BASE_IMAGE = "debian:bookworm-slim"
BASE_TAR = STATE / "bookworm-slim.tar"
START_SECONDS = 60
# What the base image does not need: documents, the lists and archives of the package manager.
BASE_LEAVES_OUT = ["./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./var/lib/apt/lists/*",
                   "./var/cache/*", "./dev/*", "./proc/*", "./sys/*"]

counter = itertools.count(1)


def client():
    """The docker client; Debian's before others."""
    path = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else shutil.which("docker")
    if path is None:
        harness.skip("docker", "the docker client is not installed (package docker.io)")
    return path


def answers(host):
    """Whether an engine answers there."""
    words = [client(), "-H", host, "version", "--format", "{{.Server.Version}}"]
    try:
        return harness.run(words, timeout=20).code == 0
    except AssertionError:
        return False


# ---- a container ----


class Container:
    """A container made by Engine.run; removed, with whatever runs in it, when the `with` block ends."""

    def __init__(self, engine, ident, name):
        self.engine = engine
        self.id = ident
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.engine.docker("rm", "-f", "-v", self.id)

    def inspect(self):
        return json.loads(self.engine.docker("inspect", self.id).ok().out)[0]

    @property
    def pid(self):
        """Of its first process, as seen from here; 0 when it does not run."""
        return self.inspect()["State"]["Pid"]

    @property
    def ip(self):
        return next(net["IPAddress"] for net in self.inspect()["NetworkSettings"]["Networks"].values())

    def port(self, inside):
        """The port on 127.0.0.1 at which that TCP port was published (option -p 127.0.0.1::PORT)."""
        text = self.engine.docker("port", self.id, str(inside)).ok().out
        return int(text.splitlines()[0].rsplit(":", 1)[1])

    def exec(self, *words, timeout=60):
        return self.engine.docker("exec", self.id, *words, timeout=timeout)

    def logs(self):
        result = self.engine.docker("logs", self.id)
        return result.out + result.err

    def restart(self, seconds=1):
        self.engine.docker("restart", "-t", str(seconds), self.id).ok()

    def kill(self, name="KILL"):
        self.engine.docker("kill", "-s", name, self.id).ok()


# ---- the engine ----


class Engine:
    def __init__(self, host):
        self.host = host
        self.socket = pathlib.Path(host.removeprefix("unix://"))

    def env(self):
        return {"DOCKER_HOST": self.host}

    def docker(self, *words, timeout=60, input=None):
        return harness.run([client(), *words], timeout=timeout, env=self.env(), input=input)

    def compose(self, *words, timeout=300, cwd=None):
        if shutil.which("docker-compose"):
            return harness.run(["docker-compose", *words], timeout=timeout, env=self.env(), cwd=cwd)
        result = harness.run([client(), "compose", "version"], env=self.env())
        if result.code != 0:
            harness.skip("docker", "docker-compose is not installed")
        return harness.run([client(), "compose", *words], timeout=timeout, env=self.env(), cwd=cwd)

    def has_image(self, tag):
        return self.docker("image", "inspect", tag).code == 0

    def unique(self, stem):
        return f"profcore-test-{stem}-{os.getpid()}-{next(counter)}"

    def base_image(self):
        if not self.has_image(BASE_IMAGE):
            STATE.mkdir(parents=True, exist_ok=True)
            with open(STATE / "image.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self.has_image(BASE_IMAGE):
                    make_base_tar()
                    self.docker("import", "-c", "CMD [\"bash\"]", str(BASE_TAR), BASE_IMAGE, timeout=300).ok()
        return BASE_IMAGE

    def build(self, folder, tag, *args, timeout=900):
        self.docker("build", "--network", "none", *args, "-t", tag, str(folder), timeout=timeout).ok()
        return tag

    def image_of(self, name, files, entrypoint=None, base=False):
        """An image with these files, {path inside: path here}, over the base image or nothing at all. The loader and the
        libraries of dynamic programs come along when there is no base, so that they run alone."""
        with tempfile.TemporaryDirectory(prefix="profcore-image-") as folder:
            lines = [f"FROM {self.base_image()}" if base else "FROM scratch"]
            wanted = dict(files)
            if not base:
                for here in files.values():
                    wanted.update({path: path for path in libraries(here)})
            for number, (inside, here) in enumerate(wanted.items()):
                shutil.copy(here, os.path.join(folder, str(number)))
                lines.append(f"COPY {number} {inside}")
            if entrypoint:
                lines.append(f"ENTRYPOINT {json.dumps(entrypoint)}")
            pathlib.Path(folder, "Dockerfile").write_text("\n".join(lines) + "\n")
            return self.build(folder, f"profcore-test/{name}:latest")

    def run(self, image, *words, name=None, options=()):
        name = name or self.unique("c")
        result = self.docker("run", "-d", "--name", name, "--label", "profcore.test=1", *options, image, *words,
                             timeout=120).ok()
        return Container(self, result.out.strip().splitlines()[-1], name)


def libraries(program):
    """The loader and the shared libraries of a program, as paths here."""
    result = harness.run(["ldd", program])
    return re.findall(r"(/\S+)(?= \(0x)", result.out) if result.code == 0 else []


# ---- the base image ----


def mirror():
    """The Debian mirror in apt's sources; None when they name none."""
    folder = pathlib.Path("/etc/apt")
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        found = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
        if found:
            return found.group(1)
    return None


def make_base_tar():
    if BASE_TAR.exists():
        return
    if shutil.which("debootstrap") is None:
        harness.skip("docker", f"no {BASE_IMAGE}, and debootstrap is not installed to make it")
    if mirror() is None:
        harness.skip("docker", f"no {BASE_IMAGE}, and apt's sources name no Debian mirror to make it from")
    with tempfile.TemporaryDirectory(prefix="rootfs-", dir=STATE) as folder:
        print(f"# making {BASE_IMAGE} with debootstrap: takes minutes, once", file=sys.stderr, flush=True)
        words = ["debootstrap", "--variant=minbase", "bookworm", folder, mirror()]
        try:
            made = harness.run(words, timeout=1500)
        except AssertionError as error:
            harness.skip("docker", f"debootstrap did not end: {error}")
        if made.code != 0:
            harness.skip("docker", f"debootstrap failed: {made.out[-300:]}")
        pack_base(folder)


def pack_base(folder):
    part = BASE_TAR.with_suffix(".part")
    harness.run(["tar", "-C", folder, "--numeric-owner", *[f"--exclude={name}" for name in BASE_LEAVES_OUT], "-cf", part,
                 "."], timeout=300).ok()
    part.rename(BASE_TAR)


# ---- starting and stopping ----


def start_daemon():
    """Start dockerd on our own socket; the caller holds the start lock."""
    if os.geteuid() != 0:
        harness.skip("docker", "no engine answers, and only root can start one")
    daemon = shutil.which("dockerd") or "/usr/sbin/dockerd"
    if not os.access(daemon, os.X_OK):
        harness.skip("docker", "no engine answers, and dockerd is not installed (package docker.io)")
    STATE.mkdir(parents=True, exist_ok=True)
    log = open(STATE / "dockerd.log", "w")
    words = [daemon, "--host", f"unix://{SOCKET}", "--data-root", str(STATE / "docker"), "--exec-root", str(RUN / "exec"),
             "--pidfile", str(RUN / "docker.pid")]
    environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                               start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not (SOCKET.exists() and answers(f"unix://{SOCKET}")):
        if process.poll() is not None or time.monotonic() > deadline:
            if process.poll() is None:
                process.kill()
            tail = (STATE / "dockerd.log").read_text(errors="replace")[-300:].replace("\n", " | ")
            harness.skip("docker", f"dockerd does not come up here: {tail}")
        time.sleep(0.2)


def daemon_pid():
    """Of the dockerd that this file started; None when it does not run."""
    try:
        pid = int((RUN / "docker.pid").read_text())
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(SOCKET).encode() in words else None


def stop_daemon():
    pid = daemon_pid()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while daemon_pid() is not None and time.monotonic() < deadline:
        time.sleep(0.1)


def release(lock):
    """The last user, who alone can have the lock for itself, stops the engine, unless it shall be kept."""
    if (RUN / "keep").exists():
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    stop_daemon()


@contextlib.contextmanager
def remapped_engine(folder):
    """A second engine for the block, whose containers are in a user namespace: their root is another user of the machine. It
    has a mount namespace, as it reads /etc/subuid, and a network of its own: it would take the first engine's bridge away."""
    harness.need("root")
    harness.need_tool("unshare")
    daemon = shutil.which("dockerd") or "/usr/sbin/dockerd"
    if not os.access(daemon, os.X_OK):
        harness.skip("docker", "dockerd is not installed (package docker.io)")
    folder.mkdir()
    folder.parent.chmod(0o711)  # that other user must get to its files
    (folder / "ids").write_text("daemon:200000:65536\n")
    script = f'mount --bind {folder}/ids /etc/subuid && mount --bind {folder}/ids /etc/subgid && exec "$0" "$@"'
    words = [daemon, "--userns-remap=daemon", "--host", f"unix://{folder}/sock", "--data-root", folder / "data", "--exec-root",
             folder / "exec", "--pidfile", folder / "pid", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", script, *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ((folder / "sock").exists() and answers(f"unix://{folder}/sock")):
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (folder / "log").read_text(errors="replace")[-300:].replace("\n", " | ")
                harness.skip("docker", f"no engine with --userns-remap comes up here: {tail}")
            time.sleep(0.1)
        yield Engine(f"unix://{folder}/sock")
    finally:
        process.terminate()
        process.wait(30)


def own_engine():
    RUN.mkdir(parents=True, exist_ok=True)
    users = open(RUN / "users.lock", "w")
    with open(RUN / "start.lock", "w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not (SOCKET.exists() and answers(f"unix://{SOCKET}")):
            start_daemon()
    atexit.register(release, users)
    return Engine(f"unix://{SOCKET}")


state = {}


def engine():
    """The engine to test with; found or started once a process."""
    if "engine" not in state:
        client()
        given = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if given.startswith("unix://") and os.path.exists(given[len("unix://"):]) and answers(given):
            state["engine"] = Engine(given)
        elif os.geteuid() != 0:
            harness.skip("docker", "no engine answers, and only root can start one")
        else:
            state["engine"] = own_engine()
    return state["engine"]


def main():
    word = sys.argv[1] if len(sys.argv) == 2 else ""
    if word == "stop":
        (RUN / "keep").unlink(missing_ok=True)
        stop_daemon()
    elif word in ("start", "env", "image"):
        found = engine()
        if word == "start":
            (RUN / "keep").touch()
        elif word == "image":
            print(found.base_image())
        if word != "image":
            print(f"export DOCKER_HOST={found.host}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
