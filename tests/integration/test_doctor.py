# SPDX-License-Identifier: MIT
"""`profcore doctor`: what it finds on this machine with all rights, with few, behind filters, and what it says of a config."""

import ctypes
import json
import os
import struct
import subprocess

import harness
import json_schema

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

# From asm/unistd_64.h, linux/seccomp.h and linux/filter.h.
SYS_BPF = 321
SYS_PERF_EVENT_OPEN = 298
SECCOMP_KILL = 0x80000000
SECCOMP_EPERM = 0x00050000 | 1
SECCOMP_ALLOW = 0x7FFF0000


def doctor(*args, wrap=(), **options):
    """Its JSON, held to the schema and to itself."""
    result = harness.run([*wrap, harness.profcore_path(), "doctor", "--json", *args], **options)
    answer = result.json()
    json_schema.check(answer, json.loads((harness.source_dir() / "docs" / "doctor.schema.json").read_text()))
    assert answer["exit_code"] == result.code and answer["can_run"] == (result.code == 0), result.describe()
    for verdict in ("works", "degraded", "fails"):
        assert answer[verdict] == sum(check["verdict"] == verdict for check in answer["checks"])
    return answer


def find(answer, area, name):
    found = [check for check in answer["checks"] if check["area"] == area and check["check"] == name]
    assert len(found) == 1, f"{area}/{name}: {[(c['area'], c['check']) for c in answer['checks']]}"
    return found[0]


def sysctl(name):
    with open("/proc/sys/" + name.replace(".", "/")) as file:
        return int(file.read())


def config(tmp, target, more=""):
    path = tmp / "test.ini"
    path.write_text(f"[run]\nname = t\nduration = 1s\noutput = {tmp}/runs\n[target]\n{target}\n[plugin:null]\n{more}")
    return path


def plugin(behaviour):
    return harness.build_dir() / "tests" / "plugins" / f"{behaviour}.so"


def without(syscall, action):
    """For preexec_fn: a seccomp filter on one call of this architecture, every other allowed."""
    def put_on():
        code = b"".join(struct.pack("HBBI", *one) for one in [
            (0x20, 0, 0, 0),              # the number of the call
            (0x15, 0, 1, syscall),        # is it that one
            (0x06, 0, 0, action),
            (0x06, 0, 0, SECCOMP_ALLOW),
        ])
        buffer = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
    return put_on


def doctor_behind(filtered):
    process = subprocess.run([harness.profcore_path(), "doctor", "--json"], capture_output=True, text=True, timeout=60,
                             preexec_fn=filtered)
    answer = json.loads(process.stdout)
    assert process.returncode == answer["exit_code"], process.stderr
    return answer


def test_as_root_all_is_tried():
    harness.need("root")
    answer = doctor()
    areas = {check["area"] for check in answer["checks"]}
    assert areas == {"machine", "perf", "bpf", "processes", "containers", "sandbox of stages"}, areas
    assert find(answer, "perf", "sampling")["verdict"] == "works"
    assert find(answer, "perf", "whole machine")["verdict"] == "works"
    assert find(answer, "processes", "of others")["verdict"] == "works"
    assert find(answer, "processes", "tracing (ptrace)")["verdict"] == "works"
    assert (answer["exit_code"] == 0) == (answer["fails"] == 0)
    assert answer["machine"]["perf_event_paranoid"] == sysctl("kernel.perf_event_paranoid")
    for check in answer["checks"]:
        assert check["verdict"] != "works" or check["remedy"] == "", check


def test_as_root_bpf_works_where_it_is():
    harness.need("bpf")
    answer = doctor()
    for name in ("programs", "attaching", "ring buffer", "kernel types (BTF)"):
        assert find(answer, "bpf", name)["verdict"] == "works", find(answer, "bpf", name)


def test_the_table_fits_a_terminal():
    result = harness.profcore("doctor")
    assert "\033[" not in result.out
    for line in result.out.splitlines():
        assert len(line) <= 100 or " " not in line.strip(), line
    harness.check_in("sampling", result.out)


def check_few_rights(answer):
    paranoid = sysctl("kernel.perf_event_paranoid")
    whole = find(answer, "perf", "whole machine") if paranoid < 3 else None
    sampling = find(answer, "perf", "sampling")
    assert sampling["verdict"] == ("works" if paranoid < 2 else "degraded" if paranoid == 2 else "fails"), sampling
    if paranoid >= 2:
        harness.check_in("kernel.perf_event_paranoid", sampling["found"])
        assert sampling["remedy"] == "sudo sysctl kernel.perf_event_paranoid=1"
    if whole is not None and paranoid > 0:
        assert whole["verdict"] == "degraded" and whole["remedy"] == "sudo sysctl kernel.perf_event_paranoid=0", whole
    if sysctl("kernel.unprivileged_bpf_disabled") != 0:
        programs = find(answer, "bpf", "programs")
        assert programs["verdict"] == "fails" and answer["exit_code"] == 4, programs
        harness.check_in("CAP_BPF is missing", programs["found"])
        harness.check_in("setcap cap_perfmon,cap_bpf", programs["remedy"])
        harness.check_in(str(harness.profcore_path().name), programs["remedy"])
    names = find(answer, "perf", "kernel names")
    if names["verdict"] != "works" and paranoid > 1 and sysctl("kernel.kptr_restrict") == 0:
        assert names["remedy"] == "sudo sysctl kernel.perf_event_paranoid=1", names
    others = find(answer, "processes", "of others")
    assert others["verdict"] == "degraded", others
    harness.check_in("CAP_SYS_PTRACE is missing", others["found"])
    for check in answer["checks"]:
        assert check["verdict"] != "fails" or check["remedy"], check


def test_as_a_plain_user():
    harness.need("root")
    harness.need_tool("setpriv")
    answer = doctor(wrap=NOBODY)
    assert not answer["machine"]["is_root"] and answer["machine"]["capabilities"] == ""
    check_few_rights(answer)


def test_as_root_without_capabilities():
    harness.need("root")
    harness.need_tool("setpriv")
    answer = doctor(wrap=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    assert answer["machine"]["is_root"] and answer["machine"]["capabilities"] == ""
    check_few_rights(answer)


def test_in_a_user_namespace_capabilities_do_not_count():
    harness.need_tool("unshare")
    wrap = ["unshare", "--user", "--map-root-user"]
    if harness.run([*wrap, "true"]).code != 0:
        harness.skip("userns", "user namespaces cannot be made here")
    answer = doctor(wrap=wrap)
    assert answer["machine"]["user_namespace"] and "BPF" in answer["machine"]["capabilities"]
    if sysctl("kernel.unprivileged_bpf_disabled") != 0:
        programs = find(answer, "bpf", "programs")
        harness.check_in("user namespace, where it does not count", programs["found"])


def test_with_sys_hidden():
    harness.need("root")
    harness.need_tool("unshare")
    answer = doctor(wrap=["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys && exec "$0" "$@"'])
    btf = find(answer, "bpf", "kernel types (BTF)")
    assert btf["verdict"] == "fails" and btf["remedy"] == "sudo mount -t sysfs sysfs /sys", btf
    assert find(answer, "containers", "control groups")["verdict"] == "degraded"
    assert answer["exit_code"] == 4


def test_few_open_files():
    answer = doctor(wrap=["sh", "-c", 'ulimit -n 200; exec "$0" "$@"'])
    files = find(answer, "machine", "open files")
    assert files["verdict"] == "degraded" and "200" in files["found"], files
    harness.check_in("ulimit -Hn", files["remedy"])


def test_a_seccomp_filter_that_refuses_is_named():
    harness.need("root")
    answer = doctor_behind(without(SYS_PERF_EVENT_OPEN, SECCOMP_EPERM))
    sampling = find(answer, "perf", "sampling")
    assert sampling["verdict"] == "fails" and answer["exit_code"] == 4, sampling
    harness.check_in("seccomp", sampling["found"])
    harness.check_in("--security-opt", sampling["remedy"])
    assert find(answer, "bpf", "programs")["verdict"] == "works"


def test_a_seccomp_filter_that_kills_is_survived():
    harness.need("root")
    answer = doctor_behind(without(SYS_BPF, SECCOMP_KILL))
    killed = find(answer, "bpf", "BPF")
    assert killed["verdict"] == "fails" and "SIGSYS" in killed["found"], killed
    assert find(answer, "perf", "sampling")["verdict"] == "works"


def test_config_that_can_run(tmp):
    (tmp / "temporary").mkdir()
    path = config(tmp, f"command = touch {tmp}/was-run")
    answer = doctor("-c", path, env={"TMPDIR": tmp / "temporary"})
    assert answer["can_run"], answer
    assert find(answer, "stages", "null")["verdict"] == "works"
    assert find(answer, "target", "command")["verdict"] == "works"
    assert not (tmp / "was-run").exists(), "the command was let go"
    assert not (tmp / "runs").exists() and not list((tmp / "temporary").iterdir())
    harness.check_in("can run here", harness.profcore("doctor", "-c", path).ok().out)


def test_facts_of_the_targets_program(tmp):
    with harness.Backend() as backend, harness.Backend(nofp=True) as nofp:
        kept = doctor("-c", config(tmp, f"pid = {backend.pid}"))
        left_out = doctor("-c", config(tmp, f"pid = {nofp.pid}"))
    symbols = find(kept, "target", "backend: symbols")
    assert symbols["verdict"] == "works" and "lines" in symbols["found"], symbols
    notes = harness.run(["readelf", "-n", harness.backend_path()]).ok().out
    harness.check_in(notes.split("Build ID: ")[1].split()[0], symbols["found"])
    assert find(kept, "target", "backend: frames")["verdict"] == "works"
    frames = [check for check in left_out["checks"] if check["check"].endswith(": frames")]
    assert len(frames) == 1 and frames[0]["verdict"] == "degraded", frames
    harness.check_in("-fno-omit-frame-pointer", frames[0]["remedy"])


def test_stripped_program_of_a_launched_target(tmp):
    harness.need_tool("strip")
    harness.run(["strip", "-o", tmp / "bare", harness.workload("split")]).ok()
    answer = doctor("-c", config(tmp, f"command = {tmp}/bare"))
    symbols = find(answer, "target", "bare: symbols")
    assert symbols["verdict"] == "degraded" and "stripped" in symbols["found"], symbols
    harness.check_in("-g", symbols["remedy"])


def test_all_refusals_are_shown_together(tmp):
    more = "".join(f"[plugin:{name}]\nuse = {plugin(name)}\n" for name in ("crash-probe", "crash-create", "fail-silently"))
    answer = doctor("-c", config(tmp, "command = sleep 5", more))
    assert find(answer, "stages", "null")["verdict"] == "works"
    for name in ("crash-probe", "crash-create"):
        assert find(answer, "stages", name)["verdict"] == "fails", find(answer, "stages", name)
    assert answer["exit_code"] == 1


def test_refused_by_the_environment_is_exit_4(tmp):
    harness.need("root")
    harness.need_tool("setpriv")
    if sysctl("kernel.perf_event_paranoid") < 1:
        harness.skip("paranoid", "everybody may sample here")
    path = config(tmp, f"pid = {os.getpid()}", "[plugin:perf-cpu]\n")
    tmp.chmod(0o755)
    result = harness.run([*NOBODY, harness.profcore_path(), "doctor", "-c", path, "--json"], env={"TMPDIR": "/tmp"})
    answer = result.json()
    assert result.code == 4 and not answer["can_run"], result.describe()
    refused = [check for check in answer["checks"] if check["area"] in ("target", "stages") and check["verdict"] == "fails"]
    assert refused and all(check["remedy"] for check in refused), answer["checks"]


def test_no_such_target_is_exit_3(tmp):
    answer = doctor("-c", config(tmp, "pid = 4194303"))
    assert answer["exit_code"] == 3
    assert [check for check in answer["checks"] if check["area"] == "target" and check["verdict"] == "fails"]


def test_folder_that_cannot_be_written(tmp):
    harness.need("root")
    harness.need_tool("setpriv")
    tmp.chmod(0o755)
    path = config(tmp, "command = sleep 5")
    result = harness.run([*NOBODY, harness.profcore_path(), "doctor", "-c", path, "--json"], env={"TMPDIR": "/tmp"})
    results = find(result.json(), "this config", "results")
    assert results["verdict"] == "fails" and "run.output" in results["remedy"], results
    assert result.code != 0


def test_config_errors_are_exit_2(tmp):
    harness.profcore("doctor", "-c", config(tmp, "command = true", "[plugin:nil]\n")).expect(2)
    harness.profcore("doctor", "surplus").expect(2)


if __name__ == "__main__":
    harness.main(__name__)
