"""Workers that were taken over: tests/redteam/redteam.c in the place of the real ones, beside the real supervisor in the real pod. Each role tries
each attack in a life of its own, from inside the real sandbox; each must be refused, by an error or by the kernel's SIGSYS."""
import re
import subprocess

import pytest
import yaml

from cluster import ROOT, STATE, SYSTEM, apply, get, kubectl, wait
from clean import render

pytestmark = pytest.mark.alone

NAME = "bestgres-redteam"
ROLES = ("broker", "watcher", "reconciler", "executor")
REFUSALS = {"EACCES", "EPERM", "EFBIG", "ENOMEM", "EMFILE"}
# Left to seccomp alone would be too little: these end with Landlock's or an rlimit's word in the broker, which has the system calls.
BROKER_REFUSED = {
    "open_file": "EACCES", "open_directory": "EACCES", "open_own_memory": "EACCES", "open_program": "EACCES", "open_to_write": "EACCES",
    "open_others_memory": "EACCES", "open_others_environ": "EACCES", "open_others_fds": "EACCES", "socket_udp": "EACCES", "socket_unix": "EACCES",
    "connect_other_port": "EACCES", "make_large_memfd": "EFBIG",
}


def deployment():
    """The operator's own, with another name and image: the same account, security context, limits and environment."""
    d = next(o for o in yaml.safe_load_all(render(ROOT / "deploy/operator")) if o["kind"] == "Deployment")
    labels = {"app.kubernetes.io/name": NAME}
    d["metadata"]["name"] = NAME
    d["metadata"]["labels"] = d["spec"]["template"]["metadata"]["labels"] = d["spec"]["selector"]["matchLabels"] = labels
    c = d["spec"]["template"]["spec"]["containers"][0]
    c["image"] = "localhost/bestgres-redteam:dev"
    return d


def attacks():
    """{role: names} of the program's table: what must have been tried."""
    table = re.findall(r'^    \{"(\w+)", \w+, (ALL|BUT_BROKER|R\(BROKER\))\}', (ROOT / "tests/redteam/redteam.c").read_text(), re.M)
    in_role = {"ALL": ROLES, "BUT_BROKER": ROLES[1:], "R(BROKER)": ROLES[:1]}
    return {role: [name for name, roles in table if role in in_role[roles]] for role in ROLES}


def pod():
    pods = get("pods", ns=SYSTEM, selector=f"app.kubernetes.io/name={NAME}")
    return pods[0] if len(pods) == 1 else None


def log():
    return kubectl("-n", SYSTEM, "logs", f"deployment/{NAME}", "--tail=-1")


def remove():
    kubectl("delete", "deployment", NAME, "-n", SYSTEM, "--ignore-not-found", "--wait=false")
    wait("the redteam's pod to go", lambda: not get("pods", ns=SYSTEM, selector=f"app.kubernetes.io/name={NAME}"), 60)


@pytest.fixture(scope="module")
def redteam():
    """The pod's whole log once every role has tried everything, and the pod."""
    subprocess.run(["make", "-C", str(ROOT), "build/redteam.tar"], check=True, capture_output=True)
    subprocess.run([str(ROOT / "tests/cluster/images.sh"), str(STATE), str(ROOT / "build/redteam.tar")], check=True)
    remove()
    apply(deployment(), SYSTEM)
    try:
        wait("every attack to be tried", lambda: all(f'msg="{role}: all: done"' in log() for role in ROLES), 90)
        yield log(), pod()
    finally:
        remove()


def outcomes(text):
    """{(role, attack): refusal, SUCCEEDED, or how the life ended that said nothing more}"""
    trying, found = {}, {}
    for line in text.splitlines():
        life = re.search(r" proc=(\w+) life=(\d+) ", line)
        said = re.search(r' event=attack msg="(\w+): (\w+): (.*)"', line)
        died = re.search(r' event=died how="([^"]*)"', line)
        if not life:
            continue
        if said and said[1] == life[1] and said[3] == "trying":
            trying[life.groups()] = said[2]
        elif said and said[1] == life[1]:
            found[said[1], said[2]] = said[3]
        elif died and life.groups() in trying:
            found.setdefault((life[1], trying[life.groups()]), died[1])
    return found


def test_every_attack_of_every_role_is_refused(redteam):
    found = outcomes(redteam[0])
    bad = {}
    for role, names in attacks().items():
        assert len(names) > 30
        for name in names:
            how = found.get((role, name), "not tried")
            if how != "signal 31 SYS" and how.removeprefix("refused ") not in REFUSALS:
                bad[role, name] = how
    assert bad == {}


def test_the_broker_is_held_by_landlock_where_it_has_the_system_calls(redteam):
    text = redteam[0]
    if "landlock-fs landlock-net" not in text:
        pytest.skip("this kernel's Landlock is older (Linux 6.7 has files and TCP)")
    found = outcomes(text)
    assert {name: found["broker", name] for name in BROKER_REFUSED} == {name: f"refused {code}" for name, code in BROKER_REFUSED.items()}


def test_a_worker_without_files_is_not_killed_for_a_probe(redteam):
    found = outcomes(redteam[0])
    for role in ROLES[1:]:
        assert found[role, "open_file"] == "refused EACCES"  # libraries probe: seccomp answers with an error
        assert found[role, "socket_tcp"] == "signal 31 SYS"


def test_the_supervisor_outlives_all_of_it(redteam):
    text, pod = redteam
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0 and "running" in status["state"], status
    assert "event=giving_up" not in text and "event=stopping" not in text and "event=degraded" not in text
    assert "event=breach" not in text and "event=quarantined" not in text
    for role, names in attacks().items():  # one life for each attack and one that idles: nobody was killed by a sibling
        lives = [int(n) for n in re.findall(rf"proc={role} life=(\d+) by=supervisor level=info event=started", text)]
        assert lives == list(range(1, len(names) + 2)), role
