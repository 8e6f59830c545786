#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Containers as targets, with a real Docker engine: found by name, and what goes wrong."""

import os
import re
import shutil
import subprocess
import time

import docker_env
import harness
from containers import BUSY, INSIDE, backend_image, config, in_window, profile, report, run_backend, target_json, wait_http
from harness import check_in, profcore


# ---- found, and what is slow in it named ----


def test_by_name_with_load_on_the_published_port(tmp):
    with run_backend() as container:
        port = container.port(8080)
        wait_http("127.0.0.1", port)
        profile(tmp, {"container": container.name}, seconds=3, url=f"http://127.0.0.1:{port}/slow").ok()
        found = target_json(tmp)
        assert found["kind"] == "container" and found["name"] == container.name, found
        assert found["container"]["id"] == container.id and found["pid"] == container.pid
        assert not os.path.exists(INSIDE), "this machine must lack the binary for the test to mean anything"
        check_in("hash_rounds", report(tmp))
        check_in(os.path.basename(INSIDE), report(tmp))
        check_in("hash_rounds", (tmp / "runs" / "latest" / "report.txt").read_text())


ASK = """\
import sys, threading, time, urllib.request
end = time.time() + float(sys.argv[2])
def ask():
    while time.time() < end: urllib.request.urlopen(sys.argv[1]).read()
for _ in range(3): threading.Thread(target=ask).start()
"""


def strace_by(tmp, container, *options):
    """profcore strace 2 --container NAME while it is asked; returns the text and the rows of system calls by name."""
    runs = tmp / "-".join(("runs", *(option.partition("=")[2] for option in options)))
    load = subprocess.Popen([shutil.which("python3"), "-c", ASK, f"http://127.0.0.1:{container.port(8080)}/slow?mode=lock", "6"],
                            stderr=subprocess.DEVNULL)
    sets = [word for option in (f"run.output={runs}", *options) for word in ("--set", option)]
    try:
        profcore("strace", "2", "--container", container.name, *sets, cwd=tmp, env=docker_env.engine().env(), timeout=60).ok()
    finally:
        load.kill()
        load.wait()
    shown = profcore("artifact", "show", runs / "latest", "strace.syscalls", "--json").ok().json()
    calls = {}
    for row in shown["tables"]["calls"]:
        calls[row["name"]] = calls.get(row["name"], 0) + row["calls"]
    return (runs / "latest" / "strace.txt").read_text(), shown, calls


def test_strace_by_name_alone(tmp):
    """What its threads wait for, with the stack; and by the other back-ends, of every call of the processes within it."""
    with run_backend("--work-us", "3000") as container:
        wait_http("127.0.0.1", container.port(8080))
        text, _, _ = strace_by(tmp, container)
        check_in("bpf: counted in the kernel", text)
        check_in("waits in rebuild_cache < ", text)
        check_in("woken by ", text)
        for backend, options in (("perf", ()), ("ptrace", ("strace.duty=20",))):
            _, shown, calls = strace_by(tmp, container, f"strace.backend={backend}", "strace.calls=all", *options)
            assert shown["facts"]["backend"].startswith(backend), shown["facts"]
            assert calls.get("futex", 0) > 3 and calls.get("accept4", 0) > 1, calls
            assert {row["pid"] for row in shown["tables"]["calls"]} == {container.pid}, shown["tables"]["calls"]


def test_without_frame_pointers(tmp):
    with run_backend(nofp=True) as container:
        port = container.port(8080)
        wait_http("127.0.0.1", port)
        profile(tmp, {"container": container.name}, seconds=3, url=f"http://127.0.0.1:{port}/slow").ok()
        check_in("hash_rounds", report(tmp))


def test_other_ways_to_say_it(tmp):
    engine = docker_env.engine()
    base = engine.base_image()
    labels = ["--label", "com.docker.compose.project=forum", "--label", "com.docker.compose.service=web"]
    tag = "profcore-test/otherways:7"
    engine.docker("tag", base, tag).ok()
    with engine.run(tag, "sh", "-c", BUSY, options=labels) as container, \
            engine.run(base, "sleep", "600") as other:
        folder = f"/docker/{container.id}"
        ways = [{"container": container.id[:10]}, {"container": container.id}, {"image": "profcore-test/otherways"},
                {"compose-service": "web", "compose-project": "forum"}, {"cgroup": folder},
                {"container": container.name, "process": "sh"}]
        for way in ways:
            profile(tmp, way, seconds=0.4).ok()
            assert target_json(tmp)["pid"] == container.pid, way
            assert target_json(tmp)["pid"] != other.pid


def test_system_sees_all_containers(tmp):
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sh", "-c", BUSY) as one:
        profile(tmp, {"system": "yes"}, seconds=1).ok()
        found = target_json(tmp)
        assert found["kind"] == "system" and found["process_count"] > 3, found["process_count"]
        check_in("sh", report(tmp))
        assert one.pid in [process["pid"] for process in found["processes"]]


def test_entered_from_outside_is_sampled(tmp):
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sleep", "600") as container:
        late = in_window(tmp, container.exec, "perl", "-e", "my $i = 0; $i++ while $i < 30000000;", after=0.2)
        profile(tmp, {"container": container.name}, seconds=3).ok()
        late.join()
        check_in("perl", report(tmp))


def test_resolves_its_own_files(tmp):
    """Read-only root, no shell, no network, a static binary, a deleted executable: symbols come all the same."""
    engine = docker_env.engine()
    split = harness.workload("split")
    hard = engine.image_of("split", {"/split": split})
    options = [["--read-only"], ["--network", "none"], ["--read-only", "--cap-drop", "ALL", "--user", "65534:65534"]]
    for more in options:
        with engine.run(hard, "/split", "60", options=more) as container:
            profile(tmp, {"container": container.name}, seconds=0.5).ok()
            check_in("burn_", report(tmp))
    with engine.run(engine.base_image(), "sleep", "600") as container:
        engine.docker("cp", split, f"{container.id}:/gone").ok()
        container.exec("sh", "-c", "/gone 60 >/dev/null & sleep 0.3; rm /gone").ok()
        profile(tmp, {"container": container.name}, seconds=1).ok()
        check_in("burn_", report(tmp))


def test_static_binary(tmp):
    engine = docker_env.engine()
    compiler = shutil.which("musl-gcc") or shutil.which("gcc")
    if compiler is None:
        harness.skip("tool", "no C compiler")
    source = tmp / "static.c"
    source.write_text("static volatile unsigned long n;\n__attribute__((noinline)) void burn_static(void)\n"
                      "{ for (int i = 0; i < 1000000; i++) { n += i; } }\nint main(void) { for (;;) burn_static(); }\n")
    built = harness.run([compiler, "-O1", "-g", "-static", "-o", tmp / "static", source])
    if built.code != 0:
        harness.skip("tool", f"{compiler} does not link statically: {built.err[-200:]}")
    with engine.run(engine.image_of("static", {"/static": tmp / "static"}), "/static") as container:
        profile(tmp, {"container": container.name}, seconds=0.5).ok()
        check_in("burn_static", report(tmp))


# ---- by whom ----


def copy_for_a_user(tmp):
    """profcore and its plugins where another user may run them, and a folder for his runs."""
    for folder in ("core", "plugins", "runs"):
        (tmp / folder).mkdir(mode=0o755)
    tmp.chmod(0o755)
    (tmp / "runs").chmod(0o777)
    shutil.copy(harness.profcore_path(), tmp / "core" / "profcore")
    for plugin in (harness.build_dir() / "plugins").glob("*.so"):
        shutil.copy(plugin, tmp / "plugins")
        (tmp / "plugins" / plugin.name).chmod(0o644)
    return tmp / "core" / "profcore"


def test_as_a_user_with_file_capabilities_and_without(tmp):
    """A user who may ask the engine: with the command of the refusal's own remedy he profiles the demo, names and all."""
    harness.need("root")
    harness.need_tool("setpriv")
    harness.need_tool("setcap")
    engine = docker_env.engine()
    program = copy_for_a_user(tmp)
    with run_backend() as container:
        port = container.port(8080)
        wait_http("127.0.0.1", port)
        target = {"container": container.name, "engine": engine.socket}
        path = config(tmp, target, 2, f"http://127.0.0.1:{port}/slow", "[plugin:memory]\n[plugin:strace]")
        path.chmod(0o644)
        words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", engine.socket.stat().st_gid, program]
        refused = harness.run([*words, "-c", path]).expect(4)
        check_in("Permission denied", refused.err)
        remedy = re.search(r"sudo (setcap cap_\S+ \S+?);", refused.err)
        assert remedy and str(program) in remedy.group(1), refused.err
        doctor = harness.run([*words, "doctor", "-c", path, "--json"]).json()
        fails = [check for check in doctor["checks"] if check["verdict"] == "fails"]
        assert doctor["exit_code"] == 4 and fails and all(check["remedy"] for check in fails), fails
        if harness.run(remedy.group(1).split()).code != 0:
            harness.skip("filecaps", "this file system keeps no capabilities")
        doctor = harness.run([*words, "doctor", "-c", path, "--json"]).ok().json()
        engine_row = next(check for check in doctor["checks"] if check["check"] == "engine")
        check_in(str(engine.socket), engine_row["found"])
        result = harness.run([*words, "-c", path], timeout=120).ok()
        check_in("hash_rounds", report(tmp))
        assert result.code == 0 and (tmp / "runs" / "latest").owner() != "root"


# ---- not found ----


def test_none_says_what_there_is(tmp):
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sleep", "600") as container:
        result = profile(tmp, {"container": container.name + "x"}).expect(3)
        check_in(container.name, result.err)
        check_in(container.id[:12], result.err)
        check_in("no such container", result.err)
        engine.docker("stop", "-t", "0", container.id).ok()
        check_in("docker start", profile(tmp, {"container": container.name}).expect(3).err)


def test_several_are_listed(tmp):
    engine = docker_env.engine()
    tag = "profcore-test/twice:1"
    engine.docker("tag", engine.base_image(), tag).ok()
    with engine.run(tag, "sleep", "600") as one, engine.run(tag, "sleep", "600") as two:
        result = profile(tmp, {"image": tag}).expect(3)
        for part in (one.id[:12], two.id[:12], one.name, "Up ", "several"):
            check_in(part, result.err)


def test_contradictions_are_refused(tmp):
    docker_env.engine()
    for way in ({"container": "x", "pid": 1}, {"container": "x", "cgroup": "/y"}, {"cgroup": "/no/such"}):
        assert profile(tmp, way).code in (2, 3), way


# ---- what could be profiled ----


def test_targets_lists_what_runs():
    engine = docker_env.engine()
    with run_backend() as one, run_backend(nofp=True) as other, \
            engine.run(engine.base_image(), "sh", "-c", BUSY) as busy:
        answer = profcore("targets", "--json", env=engine.env()).ok().json()
        containers = {entry["name"]: entry for entry in answer["containers"]}
        for container in (one, other, busy):
            assert containers[container.name]["id"] == container.id
        assert containers[one.name]["image"] == backend_image()
        assert containers[busy.name]["cpu_pct"] > containers[one.name]["cpu_pct"]
        processes = {entry["pid"]: entry for entry in answer["processes"]}
        for container, keeps in ((one, "yes"), (other, "no")):
            found = processes[container.pid]
            assert found["language"] == "C" and found["symbols"] == "debug", found
            assert found["frame_pointers"] == keeps, found
        text = profcore("targets", env=engine.env()).ok().out
        check_in(busy.name, text)
        check_in("FRAMES", text)


JAVA = "class Sleep { public static void main(String[] a) throws Exception { Thread.sleep(60000); } }"


def test_targets_guess_what_programs_are(tmp):
    """A distribution's stripped C, interpreters, runtimes, Rust: those of them that are installed here."""
    (tmp / "Sleep.java").write_text(JAVA)
    words = {"C": ["redis-server", "--port", "0", "--unixsocket", tmp / "redis.sock", "--save", ""],
             "Python": ["python3", "-c", "import time; time.sleep(60)"], "Perl": ["perl", "-e", "sleep 60"],
             "JavaScript": ["node", "-e", "setInterval(() => {}, 1000)"], "Java": ["java", tmp / "Sleep.java"]}
    try:
        words["Rust"] = [harness.rust_backend_path(nofp=True), "--port", "0"]
    except harness.Skip:
        pass
    started = {language: subprocess.Popen(list(map(str, line)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for language, line in words.items() if shutil.which(str(line[0]))}
    try:
        time.sleep(0.5)
        listed = {entry["pid"]: entry for entry in profcore("targets", "--json").ok().json()["processes"]}
        for language, process in started.items():
            found = listed[process.pid]
            assert found["language"] == language and found["rss_bytes"] > 0, found
            assert found["symbols"] in ("debug", "names", "none") and found["frame_pointers"] in ("yes", "no"), found
        assert "Rust" not in started or listed[started["Rust"].pid]["symbols"] == "debug"
        assert {"Python", "C"} <= set(started), started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_targets_are_sorted_as_asked():
    def column(order, key):
        return [process[key] for process in harness.profcore("targets", "--sort", order, "--json").ok().json()["processes"]]

    for order, key in ("rss", "rss_bytes"), ("cpu", "cpu_pct"):
        values = column(order, key)
        assert len(values) > 1 and values == sorted(values, reverse=True), values
    for order, key in ("pid", "pid"), ("name", "name"):
        values = column(order, key)
        assert values == sorted(values), values
    result = harness.profcore("targets", "--sort", "size")
    result.expect(2)
    check_in("cpu, rss, name, pid", result.err)


def test_targets_without_an_engine(tmp):
    result = profcore("targets", "--json", env={"DOCKER_HOST": f"unix://{tmp}/none.sock"}).ok().json()
    assert result["engine"] == "" and result["engine_error"]
    assert os.getpid() in [entry["pid"] for entry in result["processes"]]


# ---- Compose ----


def test_compose_service(tmp):
    engine = docker_env.engine()
    project = f"profcoretest{os.getpid()}"
    file = tmp / "docker-compose.yml"
    file.write_text(f'''version: "3"
services:
  web:
    image: {backend_image()}
    command: ["--threads", "2"]
    ports: ["127.0.0.1::8080"]
  db:
    image: {engine.base_image()}
    command: ["sleep", "600"]
''')
    words = ["-p", project, "-f", file]
    engine.compose(*words, "up", "-d").ok()
    try:
        port = int(engine.compose(*words, "port", "web", "8080").ok().out.strip().rsplit(":", 1)[1])
        wait_http("127.0.0.1", port)
        target = {"compose-service": "web", "compose-project": project}
        profile(tmp, target, seconds=2, url=f"http://127.0.0.1:{port}/slow").ok()
        check_in("hash_rounds", report(tmp))
        assert project in target_json(tmp)["name"], target_json(tmp)["name"]
        check_in("db", profile(tmp, {"compose-service": "dbb", "compose-project": project}).expect(3).err)
    finally:
        engine.compose(*words, "down", "-t", "0")


for function in (test_compose_service, test_other_ways_to_say_it, test_resolves_its_own_files):
    function.timeout = 300

if __name__ == "__main__":
    harness.main(__name__)
