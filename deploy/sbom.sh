#!/bin/bash
# sbom.sh: prints an SPDX 2.3 document (JSON) of what the programs in build/bin are made from: the
# libraries with version and checksums as deploy/deps.sh recorded them, and the programs themselves.
# SOURCE_DATE_EPOCH, or else the commit's time, is its date: the same tree prints the same document.
set -euo pipefail
cd "$(dirname "$0")/.."
deps=${DEPS_PREFIX:-build/deps}
[ -f "$deps/SOURCES" ] || { echo "error: sbom: no $deps/SOURCES (libraries not built by deploy/deps.sh?)" >&2; exit 1; }
for p in supervisor reconciler worker instance; do
	[ -f "build/bin/$p" ] || { echo "error: sbom: build/bin/$p is missing: run make first" >&2; exit 1; }
done
version=$(git describe --always --dirty 2> /dev/null || echo unknown)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}

python3 - "$deps/SOURCES" "$version" "$epoch" build/bin/{supervisor,reconciler,worker,instance} << 'END'
import hashlib
import json
import sys
import time

LICENSES = {
    "curl": "curl",
    "libev": "BSD-2-Clause OR GPL-2.0-or-later",
    "mbedtls": "Apache-2.0 OR GPL-2.0-or-later",
    "jsmn": "MIT",
    "musl": "MIT",
}
# reconciler and supervisor link neither TLS nor HTTP.
USES = {
    "supervisor": ["libev", "musl"],
    "reconciler": ["libev", "musl"],
    "worker": ["curl", "mbedtls", "libev", "jsmn", "musl"],
    "instance": ["curl", "mbedtls", "libev", "jsmn", "musl"],
}


def package(spdx_id, name, version, license, purpose):
    return {
        "SPDXID": spdx_id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": license,
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    }


def relation(a, kind, b):
    return {"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}


sources, version, epoch, *programs = sys.argv[1:]
root = "SPDXRef-bestgres"
packages = [package(root, "bestgres", version, "Apache-2.0", "APPLICATION")]
files, relations = [], [relation("SPDXRef-DOCUMENT", "DESCRIBES", root)]

libraries = {}
for line in open(sources):
    name, lib_version, file, digest = line.rstrip("\n").split("\t")
    libraries.setdefault(name, (lib_version, []))[1].append((file, digest))
for name, (lib_version, parts) in sorted(libraries.items()):
    p = package("SPDXRef-" + name, name, lib_version, LICENSES[name], "LIBRARY")
    p["supplier"] = "Organization: Debian"
    p["externalRefs"] = [{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": f"pkg:deb/debian/{name}@{lib_version.replace('+', '%2B').replace(':', '%3A')}?arch=source",
    }]
    p["comment"] = "built from: " + ", ".join(f"{f} sha256:{d}" for f, d in parts)
    if len(parts) == 1:
        p["checksums"] = [{"algorithm": "SHA256", "checksumValue": parts[0][1]}]
    packages.append(p)

for path in programs:
    data = open(path, "rb").read()
    name = path.rsplit("/", 1)[-1]
    spdx_id = "SPDXRef-file-" + name
    files.append({
        "SPDXID": spdx_id,
        "fileName": "./" + name,
        "fileTypes": ["BINARY"],
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": hashlib.sha1(data).hexdigest()},
            {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()},
        ],
        "licenseConcluded": "Apache-2.0",
        "licenseInfoInFiles": ["NOASSERTION"],
        "copyrightText": "NOASSERTION",
    })
    relations.append(relation(root, "CONTAINS", spdx_id))
    relations += [relation(spdx_id, "STATIC_LINK", "SPDXRef-" + lib) for lib in USES[name]]

digest = hashlib.sha256("".join(f["checksums"][1]["checksumValue"] for f in files).encode()).hexdigest()
json.dump({
    "spdxVersion": "SPDX-2.3",
    "dataLicense": "CC0-1.0",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "bestgres-" + version,
    "documentNamespace": "urn:bestgres:sbom:" + digest,
    "creationInfo": {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch))),
        "creators": ["Tool: bestgres-deploy-sbom.sh"],
    },
    "packages": packages,
    "files": files,
    "relationships": relations,
}, sys.stdout, indent=1)
print()
END
