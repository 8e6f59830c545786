# SPDX-License-Identifier: MIT
"""[target] pod: a node that is made up, of a real control group and of the folders that a kubelet keeps."""

import json
import os
import signal
import subprocess

import harness

UID = "0f3c9a52-7d11-4a8e-9b60-1d2c3e4f5a6b"
CONFIG = """
[run]
name     = pod
duration = 1s
output   = {tmp}/profiling
[target]
{target}
[plugin:perf-cpu]
"""


def hierarchy():
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            words = line.split()
            if words[2] == "cgroup2":
                return words[1]
    harness.skip("cgroup2", "no unified hierarchy is mounted")


class Node:
    """A pod with a container in which split works, and a private /var/log to find it by."""

    def __enter__(self):
        harness.need("root")
        harness.need_tool("unshare")
        self.top = os.path.join(hierarchy(), "kubepods")
        if os.path.exists(self.top):
            harness.skip("node", "this machine is a node of Kubernetes")
        self.pod = os.path.join(self.top, "burstable", f"pod{UID}")
        self.container = os.path.join(self.pod, "4f" * 32)
        try:
            os.makedirs(self.container)
        except OSError as error:
            harness.skip("cgroup2", f"control groups cannot be made here: {error}")
        self.process = subprocess.Popen([harness.workload("split"), "60"], stdout=subprocess.DEVNULL)
        with open(os.path.join(self.container, "cgroup.procs"), "w") as procs:
            procs.write(str(self.process.pid))
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for folder in (self.container, self.pod, os.path.dirname(self.pod), self.top):
            harness.wait_until(lambda: self.removed(folder), 10, f"{folder} to be empty")

    @staticmethod
    def removed(folder):
        try:
            os.rmdir(folder)
        except OSError:
            return not os.path.exists(folder)
        return True

    def profcore(self, *args):
        script = f'mount -t tmpfs none /var/log && mkdir -p /var/log/pods/shop_web-0_{UID}/app && exec "$0" "$@"'
        return harness.run(["unshare", "--mount", "sh", "-c", script, harness.profcore_path(), *args])


def config(tmp, target):
    path = tmp / "pod.ini"
    path.write_text(CONFIG.format(tmp=tmp, target=target))
    return path


def test_pod_by_namespace_and_name(tmp):
    with Node() as node:
        result = node.profcore("-c", config(tmp, "pod = shop/web-0"), "--json", "-v").ok()
    target = json.loads((tmp / "profiling" / "latest" / "target.json").read_text())
    assert target["kind"] == "pod" and target["name"] == "shop/web-0", target
    assert [process["pid"] for process in target["processes"]] == [node.process.pid]
    assert target["cgroup_folder"] == node.pod
    harness.check_in("containers app", result.err)
    assert result.json()["stages"][0]["artifacts"][0]["rows"] > 0


def test_process_within_a_pod_and_names_that_are_near(tmp):
    with Node() as node:
        node.profcore("-c", config(tmp, "pod = web-0\nprocess = split"), "--json").ok()
        result = node.profcore("-c", config(tmp, "pod = shop/wbe-0")).expect(3)
        harness.check_in("did you mean shop/web-0?", result.err)
        result = node.profcore("-c", config(tmp, "pod = web-0\nprocess = splitt")).expect(3)
        harness.check_in("did you mean split?", result.err)


def test_no_node_is_said(tmp):
    if os.path.exists("/var/log/pods"):
        harness.skip("node", "this machine is a node of Kubernetes")
    result = harness.profcore("-c", config(tmp, "pod = shop/web-0"))
    assert result.code in (3, 4), result.describe()
    harness.check_in("no node of Kubernetes", result.err)


if __name__ == "__main__":
    harness.main(__name__)
