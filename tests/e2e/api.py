"""Questions to the API server over one open connection a thread. Tests wait by asking again and again; a kubectl for each question would take
a tenth of a second of CPU, which is most of what two cores have when several tests wait."""
import http.client
import json
import ssl
import threading
import time
import urllib.parse

import yaml


class ApiError(Exception):
    """The server said no, or nothing."""


def items(found):
    """Of a list; an empty one may be null, or its namespace missing."""
    return (found or {}).get("items") or []


class Api:
    """Of a kubeconfig whose user has a client certificate."""

    AGAIN = 4  # a server that has no time, or is being restarted, is asked so often, with a pause

    def __init__(self, kubeconfig):
        self.kubeconfig, self.local, self.kinds = kubeconfig, threading.local(), {}
        self.lock = threading.Lock()

    def connect(self):
        """The file may not exist before the first question."""
        config = yaml.safe_load(open(self.kubeconfig))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ctx = ssl.create_default_context(cafile=cluster["certificate-authority"])
        ctx.load_cert_chain(user["client-certificate"], user["client-key"])
        return http.client.HTTPSConnection(urllib.parse.urlsplit(cluster["server"]).netloc, timeout=30, context=ctx)

    def once(self, path, accept):
        """Status and body."""
        conn = getattr(self.local, "conn", None)
        if conn is None:
            conn = self.local.conn = self.connect()
        try:
            conn.request("GET", path, headers={"Accept": accept, "User-Agent": "e2e"})
            reply = conn.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            conn.close()
            self.local.conn = None
            raise

    def ask(self, path, accept="application/json"):
        """What is there as JSON, None for 404."""
        for n in range(self.AGAIN):
            try:
                status, body = self.once(path, accept)
                if status == 404:
                    return None
                if status == 200:
                    return json.loads(body)
                problem = f"{status}: {body[:500].decode(errors='replace')}"
                if status != 429 and status < 500:
                    break
            except (OSError, http.client.HTTPException, ValueError) as e:
                problem = repr(e)
                if n == 0:
                    continue  # a connection that lay idle was closed
            time.sleep(1)
        raise ApiError(f"GET {path}: {problem}")

    def discover(self):
        """All that kubectl would understand: {plural, singular, kind or short name: (prefix, plural, namespaced)}; the core group first."""
        groups = ["/api/v1"] + [f"/apis/{g['preferredVersion']['groupVersion']}" for g in self.ask("/apis")["groups"]]
        found = {}
        for prefix in groups:
            for r in (self.ask(prefix) or {"resources": []})["resources"]:
                if "/" not in r["name"]:
                    for name in {r["name"], r["singularName"], r["kind"].lower(), *r.get("shortNames", [])} - {""}:
                        found.setdefault(name, (prefix, r["name"], r["namespaced"]))
        return found

    def path(self, kind, ns=None, name=None):
        kind = kind.lower().split(".")[0]
        with self.lock:
            if kind not in self.kinds:  # a CRD may have come since
                self.kinds = self.discover()
            if kind not in self.kinds:
                raise ApiError(f"the server has no {kind}")
            prefix, plural, namespaced = self.kinds[kind]
        where = f"/namespaces/{ns or 'default'}" if namespaced else ""
        return f"{prefix}{where}/{plural}" + (f"/{name}" if name else "")

    def get(self, kind, name=None, ns=None, selector=None):
        """One object, None when it is not there; or the list of them."""
        query = "?" + urllib.parse.urlencode({"labelSelector": selector}) if selector else ""
        found = self.ask(self.path(kind, ns, name) + query)
        return found if name else items(found)

    def names(self, kind, ns):
        """plural/name of what is there; without the objects themselves."""
        path = self.path(kind, ns)
        found = self.ask(path, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
        return {f"{path.rsplit('/', 1)[1]}/{o['metadata']['name']}" for o in items(found)}
