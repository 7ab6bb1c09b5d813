"""What stands before and after a test: a namespace with nothing of an earlier one in it, and what a person needs when one has failed."""
import functools
import json
import subprocess
import time

import yaml

from cluster import API, ENV, KUBECTL, NOT_YET, OPERATOR_IMAGE, ROOT, SYSTEM, delete, get, kubectl, wait

GROUP = "bestgres.io"
# What a BGCluster is made of, and what a person may have made for a test; BGClusters and other kinds of ours come before these.
KINDS = ["bgi", "sts", "pods", "pvc", "configmaps", "secrets", "services", "pdb", "roles", "rolebindings", "serviceaccounts", "replicasets",
         "deployments", "jobs", "networkpolicies"]
# What every data namespace has: deploy/tenant's rights and Kubernetes' own.
STAYS = {"configmaps/kube-root-ca.crt", "serviceaccounts/default", *(f"{kind}/bestgres-{who}" for kind in ("roles", "rolebindings")
                                                                    for who in ("watcher", "executor"))}
TENANT = ["configmaps", "serviceaccounts", "roles", "rolebindings"]
MANY = 20  # more BGClusters than this are deleted in one request


@functools.cache
def render(path):
    """As it ships, for the operator of this run."""
    text = subprocess.run([KUBECTL, "kustomize", str(path)], env=ENV, capture_output=True, text=True, check=True).stdout
    return text.replace("bestgres-system", SYSTEM).replace("localhost/bestgres:dev", OPERATOR_IMAGE)


def namespace_objects(ns):
    """A data namespace with the tenant's Roles, PSA restricted."""
    objs = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}}]
    for o in yaml.safe_load_all(render(ROOT / "deploy/tenant")):
        if o["kind"] in ("Role", "RoleBinding"):
            o["metadata"]["namespace"] = ns
            objs.append(o)
    return objs


@functools.cache
def operations():
    """The kinds of ours that are about a BGCluster: they go before it, while it can still end them."""
    return [r["name"] for r in API.ask(f"/apis/{GROUP}/v1")["resources"] if "/" not in r["name"] and r["name"] not in ("bgclusters", "bginstances")]


def names(kinds, ns):
    """kind/name of what is there."""
    return set().union(*(API.names(kind, ns) for kind in kinds))


def leftovers(ns):
    return sorted(names(["bgc", *operations(), *KINDS], ns) - STAYS)


def mend_namespace(ns):
    """A test that deletes its namespace or the rights in it may have failed before it put them back."""
    there = get("namespace", ns)
    if there and there["status"]["phase"] == "Active" and STAYS <= names(TENANT, ns):
        return
    if there and there["status"]["phase"] != "Active":
        strip_finalizers(ns)
        wait(f"namespace {ns} to end", lambda: get("namespace", ns) is None, 240)
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(namespace_objects(ns)))
    wait(f"namespace {ns} to be as it ships", lambda: STAYS <= names(TENANT, ns))


def strip_finalizers(ns):
    for name in names(["bgc", "bgi", "pvc", "pods", *operations()], ns):
        kubectl("patch", name, "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)


def let_go(name, ns):
    """Nothing that a user may have said holds up the deletion, and it takes the volumes and the anchor along, in order."""
    body = {"metadata": {"annotations": {f"{GROUP}/paused": None}}, "spec": {"deletionProtection": False, "deletionPolicy": "Delete"}}
    kubectl("patch", "bgc", name, "-n", ns, "--type=merge", "-p", json.dumps(body), check=False)


def let_pods_go(ns):
    """Only a test puts a finalizer on a pod, to read its last words."""
    for pod in get("pods", ns=ns) or []:
        if pod["metadata"].get("finalizers"):
            kubectl("patch", "pod", pod["metadata"]["name"], "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)


def delete_clusters(ns):
    let_pods_go(ns)
    for kind in operations():
        kubectl("delete", kind, "-n", ns, "--all", "--wait=false", check=False)
    clusters = [o["metadata"]["name"] for o in get("bgc", ns=ns) or []]
    if len(clusters) > MANY:
        kubectl("delete", "--raw", f"/apis/{GROUP}/v1/namespaces/{ns}/bgclusters", check=False)
    for name in clusters[:MANY]:
        let_go(name, ns)
        delete("bgc", name, ns)


def delete_rest(ns):
    rest = [n for n in leftovers(ns) if not n.startswith("bgclusters/")]
    if rest:
        kubectl("delete", "-n", ns, "--wait=false", "--ignore-not-found", "--grace-period=1", *rest, check=False)


def clean(ns):
    """Empties a namespace. Raises when what the operator should have ended had to be ended by force, once it is: the next test is not to suffer."""
    forced = None
    if leftovers(ns):
        delete_clusters(ns)
        try:
            wait(f"the BGClusters of {ns} to go", lambda: not names(["bgc", *operations()], ns), 240)
        except AssertionError as e:
            forced = f"{e}\n{evidence(ns)}"
            strip_finalizers(ns)
        delete_rest(ns)
        try:
            wait(f"everything in {ns} to go", lambda: not leftovers(ns), 180)
        except AssertionError as e:
            forced = forced or f"{e}\n{evidence(ns)}"
            force_rest(ns)
    kubectl("delete", "--raw", f"/api/v1/namespaces/{ns}/events", check=False)
    if forced:
        raise AssertionError(f"ended by force: {forced}")


def force_rest(ns):
    """The last resort: pods first, since claims wait for them."""
    end = time.monotonic() + 120
    while leftovers(ns) and time.monotonic() < end:
        kubectl("delete", "pods", "-n", ns, "--all", "--force", "--grace-period=0", "--wait=false", check=False)
        delete_rest(ns)
        strip_finalizers(ns)
        time.sleep(2)


def run(*args):
    p = kubectl(*args, check=False)
    return f"$ kubectl {' '.join(args)}\n{p.stdout if p.returncode == 0 else p.stderr}"


def last(text, characters):
    return text if len(text) <= characters else "[...]\n" + text[-characters:].partition("\n")[2]


def patroni_says(ns):
    """Patroni's words are annotations of its ConfigMaps; the rest of those is Kubernetes' bookkeeping."""
    out = []
    for cm in get("configmaps", ns=ns) or []:
        name, notes = cm["metadata"]["name"], cm["metadata"].get("annotations", {})
        if not name.startswith("kube-root"):
            out.append(f"configmap {name}: {json.dumps(notes, sort_keys=True)} {json.dumps(cm.get('data', {}), sort_keys=True)}")
    return "\n".join(out)


def patroni_cluster(ns, pod):
    """GET /cluster as this member sees it, which needs no password."""
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8008/cluster', timeout=3).read().decode())"
    return run("-n", ns, "exec", pod, "-c", "postgres", "--", "python3", "-c", script)


def evidence(ns):
    """What a person would look at, the most telling last."""
    parts = [lambda: last(run("-n", ns, "get", "bgc,bgi", "-o", "yaml"), 14000),
             lambda: last(run("-n", ns, "get", "events", "--sort-by=.lastTimestamp"), 6000),
             lambda: run("-n", ns, "get", ",".join(["bgc", *operations(), "bgi,sts,pods,pvc,svc"]), "-o", "wide"),
             lambda: last(patroni_says(ns), 8000),
             lambda: last(run("-n", SYSTEM, "logs", "deployment/bestgres-operator", "--tail=250"), 30000)]
    pods = [p["metadata"] for p in get("pods", ns=ns) or []]
    for name in [p["name"] for p in pods]:
        parts.append(lambda name=name: last(run("-n", ns, "logs", name, "-c", "postgres", "--previous", "--tail=40"), 4000))
        parts.append(lambda name=name: last(run("-n", ns, "logs", name, "-c", "postgres", "--tail=80"), 9000))
        parts.append(lambda name=name: last(patroni_cluster(ns, name), 3000))
    out = [f"evidence of {ns} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"]
    for part in parts:
        try:
            out.append(part())
        except NOT_YET as e:
            out.append(repr(e))
    return "\n".join(out)


def evidence_or_why_not(ns):
    """For a test that has failed: whatever happens here must not hide its own error."""
    try:
        return evidence(ns)
    except (*NOT_YET, OSError, RuntimeError) as e:
        return f"no evidence of {ns}: {e!r}"
