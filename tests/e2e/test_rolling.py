"""A change of the spec reaches running instances one by one, the primary last, and a bad one stops where it is."""
import datetime
import random
import threading
import time

import pytest

from cluster import (IMAGE, Writer, apply, bgcluster, condition, connect, delete, get, kill, patch, primary, wait, wait_ready, worker_pid)


def three(ns, **spec):
    apply(bgcluster(instances=3, **{"patroni": {"synchronousMode": "on"}, **spec}), ns)
    wait_ready("demo", ns)


def pods(ns):
    return {p["metadata"]["name"]: p for p in get("pods", ns=ns, selector="bestgres.io/cluster=demo")}


def uids(ns):
    return {name: p["metadata"]["uid"] for name, p in pods(ns).items()}


def cpu(ns):
    return {name: p["spec"]["containers"][0]["resources"].get("requests", {}).get("cpu") for name, p in pods(ns).items()}


def show(ns, setting):
    """What each server says, by pod."""
    out = {}
    for name, p in pods(ns).items():
        conn = connect("demo", ns, host=p["status"]["podIP"])
        cur = conn.cursor()
        cur.execute(f"SHOW {setting}")
        out[name] = cur.fetchone()[0]
        conn.close()
    return out


def wait_rolled(ns, value, seconds=180):
    wait(f"every pod to ask for {value} of CPU", lambda: set(cpu(ns).values()) == {value} and len(cpu(ns)) == 3, seconds, 0.5)
    wait_ready("demo", ns)
    wait("nothing to be left to do", lambda: condition("demo", ns, "Progressing").get("status") == "False", 30)


def test_resources_replicas_first_then_switchover_then_the_old_primary(ns):
    three(ns)
    old, before = primary("demo", ns), uids(ns)
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
        wait_rolled(ns, "20m")
    now = pods(ns)
    assert not set(before.values()) & set(uids(ns).values()), "every pod is another one"
    made = {name: p["metadata"]["creationTimestamp"] for name, p in now.items()}
    assert all(made[name] <= made[old] for name in made), f"the old primary {old} was last: {made}"
    assert primary("demo", ns) != old
    assert w.lost() == []
    uid = get("bgc", "demo", ns)["metadata"]["uid"]
    events = [e for e in get("events", ns=ns) if e["reason"] == "PrimaryChanged" and e["involvedObject"]["uid"] == uid]
    assert len(events) == 1, "one switchover, not one a pod"


def test_single_instance_is_replaced(ns):
    apply(bgcluster(), ns)
    wait_ready("demo", ns)
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
        wait("the pod to be another one", lambda: set(cpu(ns).values()) == {"20m"}, 60)
        wait_ready("demo", ns)
    assert w.lost() == []


def test_bad_image_stops_at_the_first_replica_and_goes_back(ns):
    three(ns)
    leader, before = primary("demo", ns), uids(ns)
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"image": "localhost/no-such-image:2"}})
        c = wait("the reason", lambda: (lambda c: c if c.get("reason") == "ImagePullFailed" else None)(condition("demo", ns, "Ready")), 60)
        assert c["status"] == "False" and "no-such-image" in c["message"]
        time.sleep(10)
        changed = [name for name, uid in uids(ns).items() if before[name] != uid]
        assert len(changed) == 1 and changed != [leader], "it goes no further"
        w.wait_for_writes(5)
        patch("bgc", "demo", ns, {"spec": {"image": IMAGE}})
        wait_ready("demo", ns)
        now = uids(ns)
        assert [name for name in before if before[name] != now[name]] == changed, "the others never ran anything else"
    assert w.lost() == []


def images(ns):
    return {name: p["spec"]["containers"][0]["image"] for name, p in pods(ns).items()}


def template_image(ns):
    return get("sts", "demo", ns)["spec"]["template"]["spec"]["containers"][0]["image"]


def serves(ns, name):
    """By the word of its present pod."""
    status = get("bgi", name, ns)["status"]
    return status["podUID"] == uids(ns)[name] and status.get("state") in ("Running", "Streaming")


def lose(ns, name, *how):
    """Deletes its pod and waits for the next one, which must serve as it did."""
    old = uids(ns)[name]
    delete("pod", name, ns, *how)
    wait(f"another pod {name}", lambda: uids(ns).get(name, old) != old)
    assert images(ns)[name] == IMAGE, f"{name} came back with the change"
    wait(f"{name} to serve again", lambda: serves(ns, name) and get("bgc", "demo", ns)["status"]["readyInstances"] == 2)


def test_who_is_lost_while_a_change_is_halted_comes_back_as_it_was(ns):
    bad = "localhost/no-such-image:3"
    three(ns)
    leader, before = primary("demo", ns), uids(ns)
    with Writer("demo", ns) as w:
        patch("bgc", "demo", ns, {"spec": {"image": bad}})
        wait("it to be said", lambda: condition("demo", ns, "Progressing").get("reason") == "ImagePullFailed")
        assert condition("demo", ns, "Progressing")["status"] == "False"
        failed = next(name for name, image in images(ns).items() if image == bad)
        wait("the last good template to be written back", lambda: template_image(ns) == IMAGE, measured=True, seconds=60)
        kept = uids(ns)[failed]
        lose(ns, next(name for name in before if name not in (leader, failed)))
        lose(ns, primary("demo", ns), "--force", "--grace-period=0")
        w.wait_for_writes(5)
        assert uids(ns)[failed] == kept and template_image(ns) == IMAGE, "who failed stays, for inspection, and nothing else is tried"
        delete("pod", failed, ns)
        failed = wait("who deletes the failed pod to have it tried again", lambda: next(
            (p["metadata"]["name"] for p in get("pods", ns=ns) if p["metadata"]["uid"] != kept and p["spec"]["containers"][0]["image"] == bad), None))
        wait("the template to be good again", lambda: template_image(ns) == IMAGE)
        healthy, again = {name: uid for name, uid in uids(ns).items() if name != failed}, uids(ns)[failed]
        patch("bgc", "demo", ns, {"spec": {"image": IMAGE}})
        wait_ready("demo", ns)
        assert uids(ns)[failed] != again and set(images(ns).values()) == {IMAGE}
        assert {name: uids(ns)[name] for name in healthy} == healthy, "the others are left alone"
    assert w.lost() == []


def test_on_demand_waits_for_the_user(ns):
    three(ns, updateStrategy="OnDemand")
    before = uids(ns)
    patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
    c = wait("it is said", lambda: (lambda c: c if c.get("reason") == "RolloutPending" else None)(condition("demo", ns, "Progressing")), 30)
    assert all(name in c["message"] for name in before)
    time.sleep(5)
    assert uids(ns) == before
    patch("bgc", "demo", ns, {"spec": {"updateStrategy": "Automatic"}})
    wait_rolled(ns, "20m")


def window(hours_from_now, hours=1, zone="Asia/Kolkata"):
    """A window that opens about then, and the time at which it does."""
    now = datetime.datetime.now(datetime.timezone.utc)
    opens = (now + datetime.timedelta(hours=hours_from_now)).replace(minute=30, second=0, microsecond=0)
    local = opens + datetime.timedelta(hours=5, minutes=30)
    closes = local + datetime.timedelta(hours=hours)
    return {"from": f"{local:%H:%M}", "to": f"{closes:%H:%M}", "timeZone": zone}, f"{opens:%Y-%m-%dT%H:%MZ}"


def test_window_is_waited_for(ns):
    far, opens = window(6)
    three(ns, maintenanceWindows=[far])
    before = uids(ns)
    patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
    c = wait("it is said", lambda: (lambda c: c if c.get("reason") == "RolloutPending" else None)(condition("demo", ns, "Progressing")), 30)
    assert c["status"] == "True" and c["message"] == f"waits for the maintenance window of {opens}; older than the spec: demo-0, demo-1, demo-2"
    patch("bgc", "demo", ns, {"spec": {"maintenanceWindows": [{**far, "timeZone": "Asia/Kolkatta"}]}})
    c = wait("the zone is missed", lambda: (lambda c: c if c.get("reason") == "WindowInvalid" else None)(condition("demo", ns, "Progressing")), 30)
    assert c["status"] == "False" and "maintenanceWindows[0].timeZone" in c["message"] and "Asia/Kolkatta" in c["message"]
    wait("an Event of it", lambda: [e for e in get("events", ns=ns) if e["reason"] == "WindowInvalid"], 30)
    time.sleep(5)
    assert uids(ns) == before
    patch("bgc", "demo", ns, {"spec": {"maintenanceWindows": [far, window(-2, 4)[0]]}})
    wait_rolled(ns, "20m")
    assert not set(before.values()) & set(uids(ns).values())


def template_cpu(ns):
    return get("sts", "demo", ns)["spec"]["template"]["spec"]["containers"][0]["resources"].get("requests", {}).get("cpu")


def test_pod_that_is_lost_outside_the_windows_comes_back_as_it_was(ns):
    far, _ = window(6)
    three(ns, maintenanceWindows=[far], resources={"requests": {"cpu": "10m"}})
    before = uids(ns)
    patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}, "inheritedMetadata": {"labels": {"team": "x"}}}})
    wait("it is said", lambda: condition("demo", ns, "Progressing").get("reason") == "RolloutPending", 60)
    wait("other objects to follow at once", lambda: get("sts", "demo", ns)["metadata"]["labels"].get("team") == "x", 60)
    assert template_cpu(ns) == "10m"
    lost = next(name for name in before if name != primary("demo", ns))
    delete("pod", lost, ns, wait=True)
    wait("another pod", lambda: uids(ns).get(lost, before[lost]) != before[lost], 120)
    wait_ready("demo", ns, 180)
    assert set(cpu(ns).values()) == {"10m"} and template_cpu(ns) == "10m"
    assert [name for name, uid in uids(ns).items() if before[name] != uid] == [lost], "the others stay"
    assert not any("team" in p["metadata"]["labels"] for p in pods(ns).values())
    lost = primary("demo", ns)
    delete("pod", lost, ns, wait=True)
    wait("three pods again", lambda: len(cpu(ns)) == 3 and before[lost] not in uids(ns).values(), 120)
    wait_ready("demo", ns, 180)
    assert set(cpu(ns).values()) == {"10m"} and template_cpu(ns) == "10m", "the primary too"
    patch("bgc", "demo", ns, {"spec": {"maintenanceWindows": [far, window(-2, 4)[0]]}})
    wait_rolled(ns, "20m", 240)
    assert all(p["metadata"]["labels"].get("team") == "x" for p in pods(ns).values())
    patch("bgc", "demo", ns, {"spec": {"inheritedMetadata": None, "maintenanceWindows": [far]}})
    wait("the label to go where no pod is needed for it", lambda: "team" not in get("sts", "demo", ns)["metadata"]["labels"], 60)
    assert get("sts", "demo", ns)["spec"]["template"]["metadata"]["labels"].get("team") == "x"
    patch("bgc", "demo", ns, {"spec": {"updateStrategy": "OnDemand"}})
    wait("the template to lose it as well", lambda: "team" not in get("sts", "demo", ns)["spec"]["template"]["metadata"]["labels"], 60)
    lost = next(name for name in before if name != primary("demo", ns))
    old = uids(ns)[lost]
    delete("pod", lost, ns, wait=True)
    wait("what the user deletes to come back new", lambda: uids(ns).get(lost, old) != old and "team" not in pods(ns)[lost]["metadata"]["labels"], 120)
    wait_ready("demo", ns, 180)


def test_parameters_that_need_a_restart_in_the_right_order(ns):
    three(ns, postgres={"parameters": {"max_connections": 60}})
    before = uids(ns)
    with Writer("demo", ns) as w:
        for value in ("80", "50"):  # raised: replicas first; lowered: the primary first
            patch("bgc", "demo", ns, {"spec": {"postgres": {"parameters": {"max_connections": int(value)}}}})
            wait(f"max_connections = {value} everywhere", lambda: set(show(ns, "max_connections").values()) == {value}, 120, 1)
            wait("it is applied", lambda: condition("demo", ns, "ConfigurationApplied").get("status") == "True", 60)
            wait_ready("demo", ns)
    assert uids(ns) == before, "servers are restarted, pods are not replaced"
    assert w.lost() == []


@pytest.mark.alone
def test_operator_killed_again_and_again_during_a_rolling_change(ns):
    three(ns)
    stop, rng = threading.Event(), random.Random(4)

    def nemesis():
        while not stop.wait(rng.uniform(0.1, 1.0)):
            pid = worker_pid(rng.choice(["broker", "watcher", "reconciler", "executor"]))
            if pid:
                try:
                    kill(pid)
                except ProcessLookupError:
                    pass
    with Writer("demo", ns) as w:
        thread = threading.Thread(target=nemesis)
        thread.start()
        try:
            patch("bgc", "demo", ns, {"spec": {"resources": {"requests": {"cpu": "20m"}}}})
            wait("every pod to be another one", lambda: set(cpu(ns).values()) == {"20m"} and len(cpu(ns)) == 3, 240, 0.5)
        finally:
            stop.set()
            thread.join()
        wait_rolled(ns, "20m")
    assert w.lost() == []
