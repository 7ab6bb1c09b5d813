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
import asyncio
import os
import pathlib
import ssl
import subprocess
import threading

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
    """Everything runs in one thread with an event loop of its own: TLS objects are not shared between threads."""

    def __init__(self, tmp):
        self.mode = "pass"
        self.writers = set()
        crt, key = certificate(tmp)
        self.server_ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_ctx.load_cert_chain(crt, key)
        self.client_ctx = ssl.create_default_context(cafile=str(STATE / "pki/ca.crt"))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = self.call(asyncio.start_server(self.serve, HOST, PORT, ssl=self.server_ctx))

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def set(self, mode, cut=True):
        """A new mode; cut: existing connections are closed, so that it is felt at once."""
        self.mode = mode
        if cut:
            self.call(self.abort_all())

    async def abort_all(self):
        for w in list(self.writers):
            w.transport.abort()

    def close(self):
        self.server.close()
        self.set("pass")
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            if isinstance(self.mode, tuple):
                await self.canned(reader, writer)
            else:
                await self.relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def canned(self, reader, writer):
        """Each head of a request (bodies are small and come with it) is answered with the same bytes."""
        while isinstance(self.mode, tuple):
            data = b""
            while b"\r\n\r\n" not in data:
                got = await reader.read(65536)
                if not got:
                    return
                data += got
            if isinstance(self.mode, tuple):
                writer.write(self.mode[1])
                await writer.drain()

    async def relay(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(HOST, 6443, ssl=self.client_ctx, server_hostname=HOST)
        self.writers.add(up_writer)
        up = asyncio.ensure_future(self.requests(reader, up_writer))
        sent = 0
        try:
            while True:
                data = await up_reader.read(65536)
                if not data:
                    return
                if self.mode == "garbage":
                    writer.write(os.urandom(len(data)))
                elif self.mode == "truncate":
                    writer.write(data[:max(0, 300 - sent)])
                    sent += len(data)
                    if sent >= 300:
                        await writer.drain()
                        return
                elif self.mode == "swallow":
                    return
                elif self.mode == "dribble":
                    for k in range(len(data)):
                        writer.write(data[k:k + 1])
                        await asyncio.sleep(0.005)
                elif self.mode != "blackhole":
                    writer.write(data)
                await writer.drain()
        finally:
            up.cancel()
            self.writers.discard(up_writer)
            up_writer.transport.abort()

    async def requests(self, reader, up_writer):
        try:
            while True:
                data = await reader.read(65536)
                if not data:
                    break
                up_writer.write(data)
                await up_writer.drain()
        except OSError:
            pass
        up_writer.transport.abort()
