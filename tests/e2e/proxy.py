"""A TLS proxy in front of the real API server that can misbehave on order: the hostile or broken server of the fault tests.

It has a certificate of the test cluster's CA, so the operator trusts it as it trusts the API server. `mode` is read anew for every
connection and every reply:
  pass          bytes go through
  garbage       replies are random bytes
  truncate      replies end after 300 bytes
  swallow       the request reaches the API server, the reply is dropped and the connection closed: outcome unknown
  dribble       replies come one byte every 5 ms
  blackhole     nothing comes back, the connection stays open
  ("reply", b)  every request is answered with these bytes and never reaches the API server
"""
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time

from cluster import STATE

HOST, PORT = "10.250.0.1", 7443


def certificate(tmp):
    pki = STATE / "pki"
    key, csr, crt, ext = (str(pathlib.Path(tmp) / f"proxy.{x}") for x in ("key", "csr", "crt", "ext"))
    pathlib.Path(ext).write_text(f"extendedKeyUsage=serverAuth\nsubjectAltName=IP:{HOST}\n")
    run = lambda *a: subprocess.run(a, check=True, capture_output=True)  # noqa: E731
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    run("openssl", "req", "-new", "-key", key, "-subj", "/CN=kube-apiserver", "-out", csr)
    run("openssl", "x509", "-req", "-in", csr, "-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key"), "-CAcreateserial", "-days", "2",
        "-extfile", ext, "-out", crt)
    return crt, key


class Proxy:
    def __init__(self, tmp):
        self.mode = "pass"
        self.connections = set()
        crt, key = certificate(tmp)
        self.server_ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_ctx.load_cert_chain(crt, key)
        self.client_ctx = ssl.create_default_context(cafile=str(STATE / "pki/ca.crt"))
        self.listener = socket.create_server((HOST, PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, mode, cut=True):
        """A new mode; cut: existing connections are closed, so that it is felt at once."""
        self.mode = mode
        if cut:
            for s in list(self.connections):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.set("pass")

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        self.connections.add(raw)
        try:
            client = self.server_ctx.wrap_socket(raw, server_side=True)
            self.connections.add(client)
            if isinstance(self.mode, tuple):
                self.canned(client)
            else:
                self.relay(client)
        except (OSError, ssl.SSLError):
            pass
        finally:
            raw.close()
            self.connections.discard(raw)

    def canned(self, client):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                got = client.recv(65536)
                if not got:
                    return
                data += got
            data = b""
            mode = self.mode
            if not isinstance(mode, tuple):
                return
            client.sendall(mode[1])

    def relay(self, client):
        upstream = self.client_ctx.wrap_socket(socket.create_connection((HOST, 6443)), server_hostname=HOST)
        self.connections.add(upstream)

        def up():
            try:
                while True:
                    data = client.recv(65536)
                    if not data:
                        break
                    upstream.sendall(data)
            except OSError:
                pass
            for s in (upstream,):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        threading.Thread(target=up, daemon=True).start()
        sent = 0
        try:
            while True:
                data = upstream.recv(65536)
                if not data:
                    break
                mode = self.mode
                if mode == "garbage":
                    client.sendall(os.urandom(len(data)))
                elif mode == "truncate":
                    client.sendall(data[:max(0, 300 - sent)])
                    sent += len(data)
                    if sent >= 300:
                        break
                elif mode == "swallow":
                    break
                elif mode == "blackhole":
                    continue
                elif mode == "dribble":
                    for b in data:
                        client.sendall(bytes([b]))
                        time.sleep(0.005)
                else:
                    client.sendall(data)
        except OSError:
            pass
        finally:
            for s in (client, upstream):
                self.connections.discard(s)
                try:
                    s.close()
                except OSError:
                    pass
