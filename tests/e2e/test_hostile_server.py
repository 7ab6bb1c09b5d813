"""Garbage, truncated, oversized or hostile bytes from the API server: nothing is acted on, memory stays bounded, no worker dies."""
import json
import pathlib
import re
import time

import pytest
import yaml

from cluster import SYSTEM, all_pids, apply, bgcluster, get, kubectl, operator_log, parent, patch, supervisor_pid, wait, wait_ready, worker_pid
from proxy import HOST, PORT, Proxy

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    p = Proxy(tmp_path_factory.mktemp("proxy"))
    set_api(HOST, str(PORT))
    yield p
    p.set("pass", cut=False)
    set_api(None, None)
    p.close()


def set_api(host, port):
    """Points the operator at another address of the API; None: Kubernetes' own."""
    env = [{"name": "KUBERNETES_SERVICE_HOST", "value": host}, {"name": "KUBERNETES_SERVICE_PORT", "value": port}] if host else [
        {"name": "KUBERNETES_SERVICE_HOST", "$patch": "delete"}, {"name": "KUBERNETES_SERVICE_PORT", "$patch": "delete"}]
    deployment = get("deployment", "bestgres-operator", SYSTEM)
    name = deployment["spec"]["template"]["spec"]["containers"][0]["name"]
    patch("deployment", "bestgres-operator", SYSTEM, {"spec": {"template": {"spec": {"containers": [{"name": name, "env": env}]}}}}, type="strategic")
    kubectl("-n", SYSTEM, "rollout", "status", "deployment/bestgres-operator", "--timeout=120s", timeout=130)


def chunked(status, body, content_type="application/json"):
    return (f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def endless_line():
    """An object that never ends: 40 MB of one string, sent in one reply."""
    body = b'{"type":"ADDED","object":{"metadata":{"name":"' + b"a" * (40 << 20)
    return chunked("200 OK", body)


def evil_list():
    """Well-formed, and says that nothing exists, with a resourceVersion from the past."""
    return chunked("200 OK", json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}).encode())


MODES = {
    "garbage": "garbage", "truncate": "truncate", "swallow": "swallow", "dribble": "dribble", "blackhole": "blackhole",
    "html": ("reply", chunked("200 OK", b"<html>It works!</html>", "text/html")),
    "500": ("reply", chunked("500 Internal Server Error", b"{}")),
    "429": ("reply", b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
    "401": ("reply", chunked("401 Unauthorized", b"{}")),
    "403": ("reply", chunked("403 Forbidden", b"{}")),
    "deep": ("reply", chunked("200 OK", b"[" * 100000)),
    "endless": ("reply", endless_line()),
    "headers": ("reply", b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * (8 << 20) + b"\r\n\r\n"),
    "nul": ("reply", chunked("200 OK", b"\0" * 10000)),
    "redirect": ("reply", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
    "gzip": ("reply", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\0"),
    "empty-list": ("reply", evil_list()),
}


def rss_kb():
    sup = supervisor_pid()
    return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p}/status").read_text()).group(1)) for p in all_pids() if parent(p) == sup)


@pytest.fixture(scope="module")
def cluster(proxy, ns_module):
    apply(bgcluster(), ns_module)
    wait_ready("demo", ns_module)
    return ns_module


@pytest.mark.parametrize("mode", MODES)
def test_misbehaving_server(cluster, proxy, mode):
    ns = cluster
    pod = get("pod", "demo-0", ns)["metadata"]["uid"]
    kept = {(k, n): get(k, n, ns)["metadata"]["uid"] for k, n in [("statefulset", "demo"), ("service", "demo-rw"), ("pvc", "pgdata-demo-0"), ("bgi", "demo-0")]}
    lives = {r: worker_pid(r) for r in ("broker", "watcher", "reconciler", "executor")}
    peak = 0
    proxy.set(MODES[mode])
    try:
        patch("bgc", "demo", ns, {"spec": {"services": {"readWrite": {"annotations": {"mode": mode}}}}})
        end = time.monotonic() + 3
        while time.monotonic() < end:
            peak = max(peak, rss_kb())
            time.sleep(0.1)
    finally:
        proxy.set("pass")
    wait("the change, once the server is well again", lambda: get("service", "demo-rw", ns)["metadata"].get("annotations", {}).get("mode") == mode, 60)
    wait_ready("demo", ns)
    assert get("pod", "demo-0", ns)["metadata"]["uid"] == pod
    assert {k: get(*k, ns)["metadata"]["uid"] for k in kept} == kept
    assert {r: worker_pid(r) for r in lives} == lives, "no worker died: " + operator_log(30)
    assert peak < 48 * 1024, f"{peak} KB"
