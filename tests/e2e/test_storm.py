"""A cluster's whole life at once: most changes are taken back half way while the operator's processes are killed at random and a client
writes. Nothing acknowledged is lost, and once the storm is over all of it is as the spec says, with nothing left over.

BESTGRES_STORM_SEED=number|random and BESTGRES_STORM_SECONDS choose another storm than CI's."""
import os
import random
import time

import pytest

from clean import leftovers
from cluster import Nemesis, Writer, apply, bgcluster, condition, delete, get, kubectl, patch, wait, wait_ready

pytestmark = pytest.mark.alone

SECONDS = float(os.environ.get("BESTGRES_STORM_SECONDS", "90"))
INSTANCES = ["demo-0", "demo-1", "demo-2"]
SPEC = bgcluster(instances=3, patroni={"synchronousMode": "on"}, resources={"requests": {"cpu": "10m"}},
                 postgres={"parameters": {"work_mem": "5MB", "max_connections": 60}})


def seed():
    given = os.environ.get("BESTGRES_STORM_SEED", "7")
    return random.SystemRandom().randrange(10 ** 6) if given == "random" else int(given)


def change(spec):
    return lambda ns: patch("bgc", "demo", ns, {"spec": spec})


# name: what is done, and what takes it back
CHANGES = {
    "one more": (change({"instances": 4}), change({"instances": 3})),
    "two fewer": (change({"instances": 1}), change({"instances": 3})),
    "a parameter that is reloaded": (change({"postgres": {"parameters": {"work_mem": "6MB"}}}), change({"postgres": {"parameters": {"work_mem": "5MB"}}})),
    "a parameter that needs a restart": (change({"postgres": {"parameters": {"max_connections": 70}}}),
                                         change({"postgres": {"parameters": {"max_connections": 60}}})),
    "a parameter that is refused": (change({"postgres": {"parameters": {"work_mem": "much"}}}), change({"postgres": {"parameters": {"work_mem": "5MB"}}})),
    "resources": (change({"resources": {"requests": {"cpu": "20m"}}}), change({"resources": {"requests": {"cpu": "10m"}}})),
    "an image that is not there": (change({"image": "localhost/no-such-image:2"}), change({"image": SPEC["spec"]["image"]})),
    "a fence around one": (change({"fencedInstances": ["demo-1"]}), change({"fencedInstances": []})),
    "a fence around two": (change({"fencedInstances": ["demo-0", "demo-2"]}), change({"fencedInstances": []})),
    "rest": (change({"hibernated": True}), change({"hibernated": False})),
    "a pause": (lambda ns: kubectl("-n", ns, "annotate", "bgc", "demo", "bestgres.io/paused=true"),
                lambda ns: kubectl("-n", ns, "annotate", "bgc", "demo", "bestgres.io/paused-")),
}


def delete_and_make_again(ns, rng, protected):
    """The data is kept. A deletion can not be taken back, a protected one waits: then the protection goes, half way into whatever is done."""
    uid = get("bgc", "demo", ns)["metadata"]["uid"]
    if protected:
        change({"deletionProtection": True})(ns)
    delete("bgc", "demo", ns)
    if protected:
        time.sleep(rng.uniform(1, 5))
        assert get("bgc", "demo", ns)["metadata"]["uid"] == uid, "protected"
        change({"deletionProtection": False})(ns)
    wait("the BGCluster to go", lambda: get("bgc", "demo", ns) is None, 240)
    apply(SPEC, ns)


def blow(ns, rng, end):
    """Changes in random order, each taken back after a moment, often before it has arrived; a deletion of each kind in between. Until `end`."""
    acts, done = [], []
    while time.monotonic() < end:
        if not acts:
            acts = rng.sample(sorted(CHANGES), len(CHANGES))
            for n, protected in ((rng.randrange(2, 5), False), (rng.randrange(6, 9), True)):
                acts.insert(n, protected)
        act = acts.pop(0)
        done.append(act if isinstance(act, str) else f"deletion{', protected' * act}")
        if isinstance(act, bool):
            delete_and_make_again(ns, rng, act)
        else:
            there, back = CHANGES[act]
            there(ns)
            time.sleep(rng.choice((0.3, 1, 3, 8)) * rng.uniform(0.5, 1.5))
            back(ns)
        time.sleep(rng.choice((0.1, 1, 4)))
    return done


def names(kind, ns):
    return sorted(o["metadata"]["name"] for o in get(kind, ns=ns, selector="bestgres.io/cluster=demo"))


def as_wanted(ns):
    """Every instance is as the spec says; None while one is not."""
    pods = get("pods", ns=ns, selector="bestgres.io/cluster=demo")
    containers = [p["spec"]["containers"][0] for p in pods]
    return (names("pods", ns) == names("bgi", ns) == INSTANCES and get("statefulset", "demo", ns)["spec"]["replicas"] == 3
            and {c["image"] for c in containers} == {SPEC["spec"]["image"]} and {c["resources"]["requests"]["cpu"] for c in containers} == {"10m"}
            and condition("demo", ns, "Progressing").get("status") == "False" and condition("demo", ns, "ConfigurationApplied").get("status") == "True")


def test_storm(ns):
    chosen = seed()
    rng = random.Random(chosen)
    print(f"BESTGRES_STORM_SEED={chosen} BESTGRES_STORM_SECONDS={SECONDS:.0f}")
    apply(SPEC, ns)
    wait_ready("demo", ns)
    sysid = get("bgi", "demo-0", ns)["status"]["systemIdentifier"]
    with Writer("demo", ns, follow=True) as w:
        with Nemesis(chosen) as nemesis:
            print("changes:", ", ".join(blow(ns, rng, time.monotonic() + SECONDS)))
        assert nemesis.killed
        w.wait_for_writes(300)
        wait_ready("demo", ns, 300)
        wait("all to be as the spec says", lambda: as_wanted(ns), 300, 1)
        wait_ready("demo", ns)
    print(f"{len(w.acked)} rows acknowledged, {w.errors} refused, longest pause {w.longest_gap():.0f} s")
    assert w.lost() == []
    assert {i["status"]["systemIdentifier"] for i in get("bgi", ns=ns)} == {sysid}, "the same data all along"
    change({"deletionPolicy": "Delete"})(ns)
    delete("bgc", "demo", ns)
    wait("all of it to go", lambda: not leftovers(ns), 240, 1)
