"""kill -9 of any operator process at any time, the operator away, the API server restarted, tokens revoked: the same end state."""
import json
import random
import signal
import subprocess
import time

import pytest
import yaml

from cluster import (ROOT, STATE, SYSTEM, Writer, all_pids, ancestors, apply, bgcluster, cmdline, delete, get, is_ready, kill, kubectl, operator_log, patch, pod_pids, pod_process, primary, sql,
                     supervisor_pid, wait, wait_ready, worker_pid)

ROLES = ["broker", "watcher", "reconciler", "executor"]

pytestmark = pytest.mark.alone


def wait_worker(role, old=None, seconds=20):
    return wait(f"the {role} to be back", lambda: (lambda p: p if p and p != old else None)(worker_pid(role)), seconds, 0.02, measured=True)


@pytest.mark.parametrize("role", ROLES)
def test_worker_killed_again_and_again_while_a_cluster_is_made(ns, role):
    apply(bgcluster(instances=2), ns)
    rng = random.Random(role)
    for _ in range(12):
        pid = wait_worker(role)
        kill(pid)
        wait_worker(role, pid)
        time.sleep(rng.uniform(0, 0.25))
    wait_ready("demo", ns)
    assert len(get("pods", ns=ns)) == 2
    assert len(get("bgi", ns=ns)) == 2


def test_supervisor_killed(ns):
    kill(supervisor_pid())
    apply(bgcluster(), ns)
    wait_ready("demo", ns)


def test_worker_is_back_and_acts_on_what_changed_meanwhile(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    for role in ROLES:
        pid = worker_pid(role)
        kill(pid, signal.SIGSTOP)
        patch("bgc", "demo", ns, {"spec": {"services": {"readWrite": {"annotations": {"role": role}}}}})
        kill(pid)
        wait(f"the change, after {role} was killed", lambda: get("service", "demo-rw", ns)["metadata"]["annotations"].get("role") == role, 30, measured=True)


def test_hung_worker_is_noticed(ns):
    pid = worker_pid("reconciler")
    kill(pid, signal.SIGSTOP)
    wait_worker("reconciler", pid, 45)
    apply(bgcluster(), ns)
    wait_ready("demo", ns)


def test_failover_without_operator(ns):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        kubectl("-n", SYSTEM, "scale", "deployment/bestgres-operator", "--replicas=0")
        wait("the operator to be gone", lambda: supervisor_pid() is None, 30)
        try:
            old = primary("demo", ns)
            uid = get("pod", old, ns)["metadata"]["uid"]
            kubectl("delete", "pod", old, "-n", ns, "--force", "--grace-period=0", "--wait=false", check=False)
            # another pod, mostly of another name: a quick successor of the same name may win as well
            wait("a new primary", lambda: primary("demo", ns) and get("pod", primary("demo", ns), ns)["metadata"]["uid"] != uid, 60)
            w.wait_for_writes()
        finally:
            kubectl("-n", SYSTEM, "scale", "deployment/bestgres-operator", "--replicas=1")
        wait_ready("demo", ns)
    assert w.lost() == []


def test_api_server_restart(ns):
    apply(bgcluster(instances=3, patroni={"synchronousMode": "on"}), ns)
    wait_ready("demo", ns)
    leader = primary("demo", ns)
    with Writer("demo", ns) as w:
        pid = int((STATE / "apiserver.pid").read_text())
        kill(pid)
        time.sleep(4)
        subprocess.run([str(ROOT / "tests/cluster/apiserver.sh"), str(STATE)], check=True)
        wait("the API server", lambda: kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", 60)
        patch("bgc", "demo", ns, {"spec": {"services": {"readOnly": {"annotations": {"after": "restart"}}}}})
        wait("the operator acts again", lambda: get("service", "demo-ro", ns)["metadata"].get("annotations", {}).get("after") == "restart", 60)
        wait_ready("demo", ns)
    assert w.lost() == []
    assert primary("demo", ns) == leader, "failsafe_mode: no failover because of the API server"


def test_token_revoked(ns):
    """Deleting the Secret revokes every minted token within seconds; putting it back heals without a restart."""
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    kubectl("-n", SYSTEM, "delete", "secret", "bestgres-tokens")
    try:
        time.sleep(11)  # the API server's cache of tokens
        patch("bgc", "demo", ns, {"spec": {"services": {"readOnly": {"annotations": {"during": "revocation"}}}}})
        wait("the log to say what is wrong", lambda: "bestgres-tokens" in operator_log(200), 60)
    finally:
        kubectl("-n", SYSTEM, "create", "secret", "generic", "bestgres-tokens")
    patch("bgc", "demo", ns, {"spec": {"services": {"readWrite": {"annotations": {"after": "revocation"}}}}})
    wait("the operator acts again", lambda: get("service", "demo-rw", ns)["metadata"].get("annotations", {}).get("after") == "revocation", 60)


@pytest.mark.parametrize("role", ["watcher", "reconciler", "executor"])
def test_deleted_and_made_again_while_a_worker_is_down(ns, role):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    uid = get("bgc", "demo", ns)["metadata"]["uid"]
    pid = worker_pid(role)
    kill(pid, signal.SIGSTOP)
    delete("bgc", "demo", ns)
    time.sleep(0.5)
    kill(pid)
    wait("the old one to go", lambda: (get("bgc", "demo", ns) or {"metadata": {"uid": None}})["metadata"]["uid"] != uid, 90)
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)], "deletionPolicy Retain: the data is continued"


def test_finalizer_removed_by_force_and_made_again_at_once(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    sql("demo", ns, "CREATE TABLE kept AS SELECT 42 AS n")
    uid = get("bgc", "demo", ns)["metadata"]["uid"]
    pid = worker_pid("reconciler")
    kill(pid, signal.SIGSTOP)
    delete("bgc", "demo", ns)
    patch("bgc", "demo", ns, {"metadata": {"finalizers": None}})
    wait("it is gone", lambda: get("bgc", "demo", ns) is None, 10)
    apply(bgcluster(), ns)
    kill(pid)
    assert get("bgc", "demo", ns)["metadata"]["uid"] != uid
    wait_ready("demo", ns)
    assert sql("demo", ns, "SELECT n FROM kept") == [(42,)]
    assert get("statefulset", "demo", ns)["metadata"]["annotations"]["bestgres.io/owner-uid"] == get("bgc", "demo", ns)["metadata"]["uid"]


def test_crash_in_the_middle_of_bootstrap(ns):
    """PID 1 of both pods killed while initdb runs: what it left is put aside, and the cluster is made after all."""
    apply(bgcluster(instances=2), ns)

    def initdb():
        return [pod for pod in ("demo-0", "demo-1") if get("pod", pod, ns) and any("initdb" in c for c in pod_pids(ns, pod).values())]
    at_it = wait("initdb to run", initdb, 60, 0.02)
    for pod in sorted(("demo-0", "demo-1"), key=lambda p: p not in at_it):
        kill(wait(f"{pod}'s PID 1", lambda: pod_process(ns, pod, "init"), every=0.02))
    wait_ready("demo", ns, 180)
    assert sql("demo", ns, "SELECT 1") == [(1,)]


def test_crash_between_first_start_and_end_of_bootstrap(ns):
    """PID 1 of both pods killed while PostgreSQL runs already but Patroni has told nobody: its roles are made all the same, and replicas join."""
    apply(bgcluster(instances=2, patroni={"synchronousMode": "on"}), ns)
    init = [wait(f"{pod}'s PID 1", lambda: get("pod", pod, ns) and pod_process(ns, pod, "init"), 60, 0.05) for pod in ("demo-0", "demo-1")]

    def runs_server():  # not one that only tries parameters
        return [pid for pid in all_pids() if b"/bin/postgres -D /pgdata/" in b" ".join(cmdline(pid)[:3]) and any(p in init for p in ancestors(pid))]
    wait("PostgreSQL's first start", runs_server, 60, 0.005)
    for pid in init:
        kill(pid)
    begun = (get("configmap", "demo-config", ns) or {"metadata": {"annotations": {}}})["metadata"]["annotations"]
    assert begun.get("initialize") == "", "the bootstrap was over already: this test came too late"
    wait_ready("demo", ns, 180)
    assert len([i for i in get("bgi", ns=ns) if i["status"]["role"] == "Replica"]) == 1
    config = json.loads(get("configmap", "demo-config", ns)["metadata"]["annotations"]["config"])
    assert config["synchronous_mode"] and config["ttl"] == 20, config


def test_a_thousand_bad_objects_do_not_stop_others(ns):
    """Objects that can not work, 970 that can not be read and 30 that the API server refuses: conditions on those, others are served."""
    deep = {"a": 1}
    for _ in range(70):
        deep = {"a": deep}
    bad = [bgcluster(f"deep{n}a", patroni={"dynamicConfiguration": deep}) for n in range(970)]
    bad += [bgcluster(f"bad{n}a", scheduling={"affinity": {"nonsense": n}}) for n in range(30)]
    for o in bad:
        o["metadata"]["labels"] = {"is": "bad"}
    apply(bgcluster("before"), ns)
    wait_ready("before", ns)
    start = len(operator_log(-1).splitlines())
    kubectl("create", "-n", ns, "-f", "-", input=yaml.safe_dump_all(bad), timeout=120)
    kubectl("delete", "service", "before-ro", "-n", ns)
    wait("what another cluster needs to be healed amid the crowd", lambda: get("service", "before-ro", ns), 90)

    def reasons():
        ready = [[c["reason"] for c in (o.get("status") or {}).get("conditions", []) if c["type"] == "Ready"] for o in get("bgc", ns=ns)]
        return [ready.count([r]) for r in ("SpecInvalid", "SpecRefused")]
    wait("a condition on each", lambda: (lambda r: r if r == [970, 30] else None)(reasons()), 300, 2)
    apply(bgcluster("after"), ns)
    wait_ready("after", ns, 60)
    assert not [line for line in operator_log(-1).splitlines()[start:] if "event=died" in line]
    kubectl("delete", "--raw", f"/apis/bestgres.io/v1/namespaces/{ns}/bgclusters?labelSelector=is%3Dbad", timeout=120)
    wait("they go", lambda: len(get("bgc", ns=ns)) == 2, 240, 2)
