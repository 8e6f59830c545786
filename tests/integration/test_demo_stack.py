#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demo stack as a user meets it: setup builds and starts it, the configs for containers profile it and say what its own
/truth says, profcore runs as a container beside it, clean stops what setup started and removes our runs alone."""

import contextlib
import http.client
import json
import math
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import docker_env
import harness
from harness import check_in, check_near, profcore

TREE = harness.source_dir()
COMPOSE = TREE / "docker" / "docker-compose.profiling.yml"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def image(tag, dockerfile, folder=TREE, *args):
    """Built once; a machine whose builds reach no Debian mirror skips."""
    engine = docker_env.engine()
    engine.base_image()
    words = ["build", "--network", "host", "-f", TREE / "docker" / dockerfile, *args, "-t", tag, folder]
    result = engine.docker(*words, timeout=900)
    if result.code != 0 and "apt-get" in result.out + result.err:
        harness.skip("docker", f"{dockerfile}: packages cannot be installed in an image: {result.err[-200:].strip()}")
    result.ok()
    return tag


class Stack:
    """A stack of our own beside whatever else runs: another project, other names, another port."""

    def __init__(self):
        engine = docker_env.engine()
        self.project = engine.unique("forum").lower()
        self.port = free_port()
        self.rust_port = free_port()
        self.name = f"{self.project}-app-1"
        self.env = dict(engine.env(), PROFCORE_DEMO_PORT=self.port, PROFCORE_DEMO_NAME=self.project,
                        PROFCORE_RUST_NOFP_PORT=self.rust_port)

    def door(self, word, *args, code=0):
        """A word of profile.sh."""
        result = harness.run([TREE / "profile.sh", word, *args], env=dict(self.env, PROFCORE_BUILD=harness.build_dir()), timeout=300)
        return result.expect(code)

    def setup(self, output, *args, timeout=300):
        words = ["setup", "--file", COMPOSE, "--project", self.project, "--output", output, *args]
        return profcore(*words, env=self.env, timeout=timeout, cwd=TREE)

    def down(self):
        docker_env.engine().compose("-p", self.project, "-f", COMPOSE, "down", "-t", "0", "--remove-orphans")

    def truth(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/truth?reset=1")
            return json.loads(connection.getresponse().read())

    def runs(self):
        engine = docker_env.engine()
        names = engine.docker("ps", "-a", "--filter", f"label=com.docker.compose.project={self.project}", "--format",
                              "{{.Names}} {{.State}}").ok().out
        return dict(line.split() for line in names.splitlines())


def profile(stack, tmp, config, *args):
    """One of configs/, on this stack: the report, and the truth of the same time."""
    settings = {"run.output": tmp / "runs", "run.duration": "3s", "load-test.url": f"http://127.0.0.1:{stack.port}/slow"}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    stack.truth()
    result = profcore("-c", TREE / "configs" / config, *words, *args, "--json", env=stack.env).ok()
    return result.json(), stack.truth()


def compare(report, truth):
    """The planted functions with their shares of one another, as the program in the container counted them itself: within
    four standard deviations of a count of that many samples, and at least 4 points."""
    rows = {row["function"]: row for row in report["top_functions"]}
    names = {name: function.get("symbol", name) for name, function in truth["functions"].items()}
    for symbol in names.values():
        assert symbol in rows, (symbol, list(rows))
    total_pct = sum(rows[symbol]["self_pct"] for symbol in names.values())
    samples = sum(rows[symbol]["self_samples"] for symbol in names.values())
    assert total_pct > 50, f"the planted work is {total_pct} % of the CPU time: {rows}"
    for name, symbol in names.items():
        real = truth["functions"][name]["share"]
        points = max(4.0, 400.0 * math.sqrt(real * (1 - real) / samples))
        check_near(100.0 * rows[symbol]["self_pct"] / total_pct, 100.0 * real, points, f"{symbol}, {samples} samples")


def rust_image(tmp):
    """From its Dockerfile, but for the compiler: the program that the same script has built on this machine."""
    source = TREE / "docker" / "rust-backend"
    context = tmp / "context"
    shutil.copytree(source, context / "docker" / "rust-backend")
    built = context / "docker" / "rust-backend" / "built" / "nofp" / "release"
    built.mkdir(parents=True)
    shutil.copy(harness.rust_backend_path(nofp=True), built)
    image("profcore-demo/rust-nofp", "Dockerfile.rust", context, "--build-arg", "PACKAGES=", "--build-arg", "KIND=nofp")


def check_build_is_of_today():
    """profile.sh would make it anew, in the middle of the tests."""
    build = harness.build_dir()
    if not (build / "profile.sh.options").exists():
        shutil.copy(TREE / "meson_options.txt", build / "profile.sh.options")
    if "no work to do" not in harness.run(["ninja", "-C", build, "-n"]).ok().out:
        harness.skip("build", "the build folder is older than the tree")


def every_word(stack, output):
    """Each word of profile.sh that measures, without a target: on the demo, beside a load test as it was always done."""
    kept = ["--set", f"run.output={output}"]
    documents = {"flamegraph": "flamegraph.cpu.svg", "cpu-profile": "perf_report.cpu.txt", "perf": "perf_report.cpu.txt",
                 "memory-profile": "memory_report.txt", "strace": "strace.txt"}
    load = threading.Thread(target=stack.door, args=("load-test", "25", *kept))
    load.start()
    for word, document in documents.items():
        result = stack.door(word, "1", *kept)
        check_in(f"the container {stack.name}", result.err)
        check_in(document, result.out)
    text = stack.door("analyze", output / "latest").out
    load.join()
    latency = next(output.glob("*-load-test")) / "artifacts" / "load-test.requests.pcol"
    assert latency.stat().st_size > 1000 and "report.txt" in text, text
    check_in("slow page of the embedded demo", stack.door("help").out)


def images():
    image("profcore-demo/backend", "Dockerfile.backend")
    image("profcore-demo/database", "Dockerfile.database", TREE / "docker")


# ---- from setup to clean ----


def test_setup_profile_clean(tmp):
    check_build_is_of_today()
    images()
    stack = Stack()
    output = tmp / "runs"
    try:
        result = stack.door("setup", "--project", stack.project, "--output", output, "--no-doctor")
        check_in(stack.name, result.out)
        check_in("(healthy)", result.out)
        assert stack.runs() == {stack.name: "running", f"{stack.project}-database-1": "running"}, stack.runs()

        assert not os.path.exists("/usr/local/bin/backend"), "this machine must lack the binary to mean anything"
        report, truth = profile(stack, tmp, "slow_endpoint_docker.ini", "--set", f"target.container={stack.name}")
        compare(report, truth)
        report, truth = profile(stack, tmp, "compose.ini", "--set", f"target.compose-project={stack.project}")
        compare(report, truth)
        report, truth = profile(stack, tmp, "slow_endpoint_docker.ini", "--set", f"target.container={stack.name}", "--set",
                                f"load-test.url=http://127.0.0.1:{stack.port}/slow?mode=db")
        assert truth["db"]["count"] > 0 and truth["db"]["ns"] > truth["work_cpu_ns"], truth["db"]
        every_word(stack, output)
        profile_rust(stack, tmp)

        check_in("Do it" if os.isatty(0) else "--yes", profcore("clean", output, env=stack.env).expect(2).err)
        assert stack.runs(), "asked for nothing, it stops nothing"
        stack.door("clean", output, "--yes")
        assert not stack.runs()
        assert not list(output.iterdir()), list(output.iterdir())
    finally:
        stack.down()


def profile_rust(stack, tmp):
    """The forum in Rust instead, without frame pointers."""
    rust_image(tmp)
    stack.setup(tmp / "runs", "--no-build", "--no-doctor", "rust-nofp").ok()
    name = f"{stack.project}-rust-nofp-1"
    assert stack.runs() == {name: "running", f"{stack.project}-database-1": "running"}, stack.runs()
    stack.port = stack.rust_port
    report, truth = profile(stack, tmp, "rust_backend.ini", "--set", f"target.container={name}")
    compare(report, truth)
    pid = docker_env.Container(docker_env.engine(), name, name).pid
    report, truth = profile(stack, tmp, "pid.ini", "--set", f"target.pid={pid}")
    compare(report, truth)


def test_a_stack_of_others_is_left_alone(tmp):
    images()
    stack = Stack()
    engine = docker_env.engine()
    words = ["-p", stack.project, "-f", COMPOSE]
    try:
        harness.run(["docker-compose", *words, "up", "-d", "database"], env=stack.env, timeout=120).ok()
        result = stack.setup(tmp, "--no-build", "--no-doctor", "database").ok()
        check_in("leave it alone", result.err)
        profcore("clean", tmp, "--yes", env=stack.env).ok()
        assert stack.runs() == {f"{stack.project}-database-1": "running"}
        assert engine.docker("ps", "-q").ok().out
    finally:
        stack.down()


def test_setup_says_why_it_cannot(tmp):
    result = profcore("setup", cwd=tmp).expect(4)
    check_in("docker-compose.profiling.yml", result.err)
    nowhere = {"DOCKER_HOST": f"unix://{tmp}/none.sock"}
    result = profcore("setup", "--file", COMPOSE, "--output", tmp, env=nowhere)
    assert result.code == 4 and "none.sock" in result.err, result.describe()
    profcore("setup", "--timeout", "soon").expect(2)
    docker_env.engine().base_image()
    broken = tmp / "broken.yml"
    broken.write_text(f'version: "3"\nservices:\n  web:\n    image: {docker_env.BASE_IMAGE}\n    command: ["false"]\n')
    env = docker_env.engine().env()
    words = ["--file", broken, "--project", docker_env.engine().unique("broken"), "--output", tmp / "out"]
    try:
        result = profcore("setup", *words, "--no-doctor", env=env).expect(1)
        check_in("Exited (1)", result.err)
    finally:
        profcore("clean", tmp / "out", "--yes", env=env).ok()
    broken.write_text("services: 7\n")
    result = profcore("setup", *words, "--no-doctor", env=env).expect(1)
    check_in("Compose", result.err)


# ---- clean, without a stack ----


def make_run(folder, name):
    """A real run, of a program that ends at once."""
    config = folder / "run.ini"
    config.write_text(f"[run]\nname = {name}\noutput = {folder}/runs\n[target]\ncommand = sleep 0.5\n[plugin:null]\n")
    profcore("-c", config).ok()
    return os.readlink(folder / "runs" / "latest")


def test_clean_takes_only_what_is_ours(tmp):
    ours = [make_run(tmp, f"run-{number}") for number in range(4)]
    runs = tmp / "runs"
    (runs / "20200101-000000-mine").mkdir()
    (runs / "20200101-000000-mine" / "data").write_text("precious")
    (runs / "20200102-000000-liar").mkdir()
    shutil.copy(runs / ours[0] / "manifest.json", runs / "20200102-000000-liar" / "manifest.json")
    (runs / "notes.txt").write_text("precious")
    outside = tmp / "outside"
    shutil.copytree(runs / ours[0], outside)
    (runs / "20200103-000000-link").symlink_to(outside)
    foreign = {"20200101-000000-mine", "20200102-000000-liar", "20200103-000000-link", "notes.txt"}

    profcore("clean", runs, "--older", "1h", "--yes").ok()
    assert all((runs / run).is_dir() for run in ours), "none is an hour old"
    os.utime(runs / ours[0] / "manifest.json", (0, 0))
    profcore("clean", runs, "--older", "7d", "--yes").ok()
    assert not (runs / ours[0]).exists() and (runs / ours[1]).exists()
    profcore("clean", runs, "--keep", "1", "--yes").ok()
    left = {path.name for path in runs.iterdir() if not path.name.startswith(("report", "null"))}
    assert left == foreign | {ours[3], "latest"}, left
    result = profcore("clean", runs, "--yes").ok()
    check_in("1 run removed", result.out)
    left = {path.name for path in runs.iterdir()}
    assert left == foreign, left
    assert (outside / "manifest.json").exists()
    check_in("nothing to clean", profcore("clean", runs).ok().out)
    for words in (["--keep", "x"], ["--older", "soon"], ["a", "b"], ["--runs", "--stack"], ["--kep", "1"]):
        profcore("clean", *words).expect(2)


def test_clean_leaves_a_run_under_way(tmp):
    config = tmp / "run.ini"
    config.write_text(f"[run]\nname = long\nduration = 30s\noutput = {tmp}/runs\n[target]\ncommand = sleep 60\n[plugin:null]\n")
    process = subprocess.Popen([str(harness.profcore_path()), "-c", str(config), "-q"], stdout=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: list((tmp / "runs").glob("*/manifest.json")), 20, "the run")
        check_in("1 under way", profcore("clean", tmp / "runs", "--yes").ok().out)
        assert list((tmp / "runs").glob("*/manifest.json"))
    finally:
        process.terminate()
        process.wait()
    profcore("clean", tmp / "runs", "--yes").ok()
    assert not list((tmp / "runs").iterdir())


def answers(port):
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as link:
        link.request("GET", "/health")
        return link.getresponse().status == 200


# ---- the images ----


def test_images_of_the_dockerfiles():
    """All of them from nothing but Debian packages: takes many minutes, so only where PROFCORE_TEST_IMAGES is set."""
    if not os.environ.get("PROFCORE_TEST_IMAGES"):
        harness.skip("images", "set PROFCORE_TEST_IMAGES=1 to build every Dockerfile: ten minutes")
    images()
    image("profcore", "Dockerfile.profiling")
    for kind in ("fp", "nofp"):
        image(f"profcore-demo/rust-{kind}", "Dockerfile.rust", TREE, "--build-arg", f"KIND={kind}")
    engine = docker_env.engine()
    check_in("perf-cpu", engine.docker("run", "--rm", "profcore", "plugin", "list").ok().out)
    for kind in ("fp", "nofp"):
        check_in("async-lock", engine.docker("run", "--rm", f"profcore-demo/rust-{kind}", "--help").ok().out)


# ---- profcore as a container ----


def compose_sidecar(engine, tag, tmp, knows, *words):
    """The service `profcore` of the Compose file, as its comment says to run it."""
    env = dict(engine.env(), PROFCORE_IMAGE=tag, PROFCORE_RUNS=tmp, DOCKER_SOCKET=engine.socket)
    if not knows:
        env.update(PROFCORE_RIGHT_PERF="SYS_ADMIN", PROFCORE_RIGHT_BPF="CAP_SYS_ADMIN")
    start = ["docker-compose", "-p", engine.unique("beside").lower(), "-f", COMPOSE, "--profile", "profiling", "run", "--rm", "-T"]
    return harness.run([*start, "profcore", *words], env=env, timeout=120)


def sidecar(engine, tag, tmp, rights, *words):
    """profcore in a container beside the others, with these rights and no others."""
    options = ["--rm", "--pid", "host", "--network", "host", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    options += [word for right in rights for word in ("--cap-add", right)]
    options += ["-v", f"{engine.socket}:/var/run/docker.sock", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro", "-v",
                f"{tmp}:/srv/profcore/profiling", "-w", "/srv/profcore"]
    return engine.docker("run", *options, tag, *words, timeout=120)


def sidecar_image(tmp):
    """What this build installs, over the base image with the libraries of this machine: minutes less than the Dockerfile."""
    engine = docker_env.engine()
    context = tmp / "context"
    build = harness.build_dir()
    prefix = next(option["value"] for option in json.loads((build / "meson-info" / "intro-buildoptions.json").read_text())
                  if option["name"] == "prefix")
    harness.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", context / "tree"], timeout=120).ok()
    programs = [path for path in (context / "tree").rglob("*") if path.is_file() and
                (os.access(path, os.X_OK) or path.suffix == ".so")]
    programs += pathlib.Path("/lib/x86_64-linux-gnu").glob("libcurl.so.4")  # which is loaded when it is needed
    folder = context / "libraries"
    folder.mkdir()
    for library in {path for program in programs for path in [*docker_env.libraries(program), str(program)]}:
        # The C library is the image's own.
        if library.startswith("/lib/") and os.path.basename(library).split(".")[0] not in ("libc", "libm", "ld-linux-x86-64"):
            shutil.copy(library, folder)
    lines = [f"FROM {engine.base_image()}", "COPY libraries /usr/local/lib", "RUN ldconfig", "COPY tree /", "WORKDIR /srv/profcore",
             f'ENTRYPOINT ["{prefix}/bin/profcore"]']
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    return engine.build(context, "profcore-test/sidecar:latest"), prefix


def test_profcore_as_a_container(tmp):
    engine = docker_env.engine()
    tag, prefix = sidecar_image(tmp)
    inside = "/srv/backend-of-image"
    backend = engine.image_of("beside", {inside: harness.backend_path()},
                              entrypoint=[inside, "--host", "0.0.0.0", "--port", "8080", "--folder", "/"])
    with engine.run(backend, options=["-p", "127.0.0.1::8080"]) as container:
        stack = Stack()
        stack.port = container.port(8080)
        harness.wait_until(lambda: answers(stack.port), 15, "the backend")
        knows = engine.docker("run", "--rm", "--cap-add", "PERFMON", "--entrypoint", "true", tag).code == 0
        config = ["-c", f"{prefix}/share/profcore/configs/slow_endpoint_docker.ini", "--set", f"target.container={container.name}",
                  "--set", f"load-test.url=http://127.0.0.1:{stack.port}/slow", "--set", "run.duration=3s", "--json"]
        stack.truth()
        report = compose_sidecar(engine, tag, tmp, knows, *config).ok().json()
        compare(report, stack.truth())
        assert (tmp / "latest" / "flamegraph.cpu.svg").exists()
        # Without them it must refuse, not show less and be content.
        result = sidecar(engine, tag, tmp, ["SYS_PTRACE", "DAC_READ_SEARCH"], *config)
        assert result.code == 4, result.describe()
        check_in("PERFMON", result.err)
        doctor = sidecar(engine, tag, tmp, ["SYS_PTRACE", "DAC_READ_SEARCH"], "doctor", "--json").expect(4).json()
        remedies = " ".join(check["remedy"] for check in doctor["checks"])
        check_in("docker run --cap-add PERFMON", remedies)
        check_in("before Docker 23 know SYS_ADMIN", remedies)


for function in (test_profcore_as_a_container, test_setup_profile_clean, test_images_of_the_dockerfiles,
                 test_a_stack_of_others_is_left_alone, test_setup_says_why_it_cannot):
    function.timeout = 900

if __name__ == "__main__":
    harness.main(__name__)
