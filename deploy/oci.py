#!/usr/bin/env python3
"""oci.py NAME OUT.tar ENTRYPOINT_JSON USER MODE:SOURCE:DEST...

Writes an OCI image archive of one layer, byte for byte reproducible: no times, no owners, nothing of this machine. What
deploy/Containerfile says, without a container engine.
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def add(tar, path, data=b"", mode=0o644, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.type, info.mtime = len(data), mode, kind, 0
    tar.addfile(info, io.BytesIO(data))


def archive(write):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        write(tar)
    return out.getvalue()


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def document(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type, blob, **more):
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob), **more}


def layer(files):
    """files: (mode, source, dest) in the order in which they shall stand."""
    def write(tar):
        made = set()
        for mode, source, dest in files:
            parts = dest.lstrip("/").split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in made:
                    made.add(folder)
                    add(tar, folder, mode=0o755, kind=tarfile.DIRTYPE)
            with open(source, "rb") as f:
                add(tar, "/".join(parts), f.read(), mode)
    return archive(write)


def image(name, entrypoint, user, files):
    platform = {"architecture": MACHINES[os.uname().machine], "os": "linux"}
    tar = layer(files)
    blob = gzip.compress(tar, 9, mtime=0)
    config = document({
        **platform,
        "config": {"Entrypoint": entrypoint, "User": user},
        "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        "history": [{"created_by": "make image"}],
    })
    manifest = document({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config), "layers": [descriptor(LAYER, blob)],
    })
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[-1]}
    index = document({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, manifest, platform=platform, annotations=names)],
    })

    def write(out):
        add(out, "oci-layout", document({"imageLayoutVersion": "1.0.0"}))
        add(out, "index.json", index)
        for folder in ("blobs", "blobs/sha256"):
            add(out, folder, mode=0o755, kind=tarfile.DIRTYPE)
        for b in (config, manifest, blob):
            add(out, "blobs/sha256/" + digest(b).removeprefix("sha256:"), b)
    return archive(write), digest(manifest), len(blob)


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    name, out, entrypoint, user, *specs = sys.argv[1:]
    files = []
    for spec in specs:
        mode, source, dest = spec.split(":")
        files.append((int(mode, 8), source, dest))
    blob, manifest, size = image(name, json.loads(entrypoint), user, files)
    with open(out + ".tmp", "wb") as f:
        f.write(blob)
    os.replace(out + ".tmp", out)
    print(f"{name} {manifest}, {size} bytes compressed")


if __name__ == "__main__":
    main()
