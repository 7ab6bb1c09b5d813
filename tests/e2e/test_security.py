"""What a taken-over process could do: tried from inside its own sandbox, and asked of the API server with its own token."""
import json
import re
import subprocess

import pytest

from cluster import ROOT, SYSTEM, apply, bgcluster, get, kubectl, supervisor_pid, wait, wait_ready, worker_pid


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)


@pytest.mark.alone
def test_workers_are_sandboxed(ns):
    for role in ("broker", "watcher", "reconciler", "executor"):
        s = status_of(worker_pid(role))
        assert s["Seccomp"].strip() == "2", role
        assert s["NoNewPrivs"].strip() == "1", role
        assert set(s["CapEff"].strip()) == {"0"}, role
        assert s["Uid"].split()[0] == "64123", role
        limits = open(f"/proc/{worker_pid(role)}/limits").read()
        assert re.search(r"Max core file size\s+0\s", limits) and re.search(r"Max processes\s+0\s", limits), role
        # non-dumpable: its /proc files belong to root
        import os
        assert os.stat(f"/proc/{worker_pid(role)}/environ").st_uid == 0, role


@pytest.mark.alone
def test_no_token_no_socket_in_the_reconciler(ns):
    import os
    pid = worker_pid("reconciler")
    for fd in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
        assert not target.startswith("/var/run/secrets"), target
    inet = subprocess.run(["nsenter", "-t", str(pid), "-n", "ss", "-Htanp"], capture_output=True, text=True).stdout
    assert f"pid={pid}," not in inet


@pytest.mark.alone
def test_environment_is_empty(ns):
    for role in ("broker", "watcher", "reconciler", "executor"):
        assert open(f"/proc/{worker_pid(role)}/environ", "rb").read().strip(b"\0") == b"", role


def rules(account, ns):
    """SelfSubjectRulesReview with the account's own identity."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": ns}}
    out = kubectl("create", "--validate=false", "-f", "-", "-o", "json", f"--as=system:serviceaccount:{account}", "--as-group=system:serviceaccounts",
                  "--as-group=system:authenticated", input=json.dumps(body))
    found = set()
    for r in json.loads(out)["status"]["resourceRules"]:
        if "selfsubject" in str(r["resources"]):
            continue
        names = ",".join(sorted(r.get("resourceNames", [])))
        for res in r["resources"]:
            for verb in r["verbs"]:
                found.add((verb, res, names))
    return found


def security_table(section):
    """The rows of SECURITY.md's table of rights: | account | verbs | resources | names |"""
    found = set()
    for line in (ROOT / "SECURITY.md").read_text().splitlines():
        cells = [c.strip().strip("`") for c in line.strip().strip("|").split("|")]
        if len(cells) == 4 and cells[0] == section:
            for verb in cells[1].split(", "):
                for res in cells[2].split(", "):
                    found.add((verb.strip("`"), res.strip("`"), cells[3]))
    return found


def test_rights_equal_the_table_in_security_md(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    for account, where, section in [
        (f"{SYSTEM}:bestgres-operator", SYSTEM, "bestgres-operator"),
        (f"{SYSTEM}:bestgres-watcher", ns, "bestgres-watcher"),
        (f"{SYSTEM}:bestgres-executor", ns, "bestgres-executor"),
    ]:
        want = security_table(section)
        assert want, f"no rows for {section} in SECURITY.md"
        assert rules(account, where) == want, section
    inst = {(v, r, re.sub(r"demo-instance|demo", "<c>", n)) for v, r, n in rules(f"{ns}:demo-instance", ns)}
    assert inst == security_table("<c>-instance")


def test_nobody_reads_secrets_or_execs(ns):
    for who in (f"{SYSTEM}:bestgres-operator", f"{SYSTEM}:bestgres-watcher", f"{SYSTEM}:bestgres-executor"):
        for verb, what in (("get", "secrets"), ("list", "secrets"), ("watch", "secrets"), ("create", "pods/exec"), ("create", "pods"),
                           ("escalate", "roles"), ("bind", "roles")):
            out = kubectl("auth", "can-i", verb, what, "-n", ns, f"--as=system:serviceaccount:{who}", check=False).stdout.strip()
            assert out == "no", (who, verb, what)
    cluster_roles = [b for b in get("clusterrolebindings") if "bestgres" in json.dumps(b.get("subjects", []))]
    assert cluster_roles == []


def test_pods_are_restricted_and_unprivileged(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    pod = get("pod", "demo-0", ns)
    for c in pod["spec"]["containers"] + pod["spec"]["initContainers"]:
        sc = c["securityContext"]
        assert sc["allowPrivilegeEscalation"] is False and sc["readOnlyRootFilesystem"] is True and sc["capabilities"]["drop"] == ["ALL"]
    labels = get("namespace", ns)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert get("namespace", SYSTEM)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_secret_in_argv_logs_events_or_status(ns):
    from cluster import pod_pids, secret, all_pids, cmdline
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    values = [v for s in ("demo-credentials", "demo-app") for k, v in secret(s, ns).items() if "password" in k]
    assert len(values) >= 5
    haystack = kubectl("-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=-1") + kubectl("logs", "demo-0", "-n", ns, "--tail=-1")
    haystack += json.dumps(get("events", ns=ns)) + json.dumps(get("bgc", ns=ns)) + json.dumps(get("bgi", ns=ns)) + json.dumps(get("pods", ns=ns))
    haystack += "".join(b" ".join(cmdline(p)).decode(errors="replace") for p in all_pids())
    for pid, c in pod_pids(ns, "demo-0").items():
        if "patroni" not in c and "postgres" not in c:
            try:
                haystack += open(f"/proc/{pid}/environ", errors="replace").read()
            except FileNotFoundError:
                pass  # it was short-lived, and has ended
    for v in values:
        assert v not in haystack
