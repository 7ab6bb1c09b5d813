#!/bin/bash
# lint.sh: what a compiler does not check. The rooms' arrows (which room may include which door), sizes,
# line lengths, white space, format, shell syntax. Prints every violation as file:line, then their number.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-format > /dev/null || { echo "error: lint: clang-format is missing: apt-get install clang-format" >&2; exit 2; }

exec python3 - << 'END'
import ast
import os
import re
import subprocess
import sys

# Downward only. What a room may include of another is its door, room/room.h, and its tables (*.def).
ARROWS = {
    "base": set(),
    "model": {"base"},
    "ipc": {"base", "model"},
    "sandbox": {"base"},
    "kube": {"base", "model"},
    "objects": {"base", "model", "kube"},
    "plan": {"base", "model"},
    "supervisor": {"base", "model", "ipc", "sandbox"},
    "workers": {"base", "model", "ipc", "sandbox", "kube", "objects", "plan"},
    "instance": {"base", "model", "ipc", "sandbox", "kube"},
}
SIDE_DOORS = {"base/bounds.h", "base/poison.h"}
# Files that may do less than their room: the reconciler has no JSON and no API.
NARROWER = [(re.compile(r"workers/reconciler\w*\.[ch]"), {"kube", "objects"})]
FILE_LINES, FUNCTION_LINES = 800, 60
COLUMNS = {".c": 100, ".h": 100, ".def": 160}
TEXT = {".c", ".h", ".def", ".sh", ".py", ".go", ".md", ".yaml", ".yml", ".json", ""}
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + "X)\\b")
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')

violations = []


def complain(path, line, text):
    violations.append((path, line, text))


def tracked():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         check=True, capture_output=True).stdout.decode()
    return sorted(p for p in set(out.split("\0")) if p and os.path.isfile(p) and not os.path.islink(p))


def check_include(path, n, target):
    room, at = path.split("/")[0], target.split("/")[0]
    if "/" not in target:
        complain(path, n, f'include of "{target}": write it with its room')
        return
    if at == room:
        return
    if at not in ARROWS[room]:
        complain(path, n, f'{room}/ may not include {at}/ ("{target}")')
    for pattern, forbidden in NARROWER:
        if pattern.fullmatch(path) and at in forbidden:
            complain(path, n, f'{path} may not include {at}/ ("{target}")')
    if target != f"{at}/{at}.h" and target not in SIDE_DOORS and not target.endswith(".def"):
        complain(path, n, f'"{target}" is inside {at}/: include its door, "{at}/{at}.h"')


# A definition's braces stand alone in column 0 (the format sees to that); its name is on a line before.
def check_functions(path, lines):
    begin, name = None, "?"
    for n, line in enumerate(lines, 1):
        found = re.match(r"(\w+)\(", line)
        if found and begin is None:
            name = found.group(1)
        if line == "{":
            begin = n
        elif line == "}" and begin is not None:
            if n - begin - 1 > FUNCTION_LINES:
                complain(path, begin, f"{name}() has {n - begin - 1} lines, at most {FUNCTION_LINES}")
            begin = None


def check_text(path, lines, kind):
    for n, line in enumerate(lines, 1):
        if line != line.rstrip():
            complain(path, n, "white space at the end of the line")
        if UNFINISHED.search(line):
            complain(path, n, "unfinished: " + line.strip()[:60])
        width = len(line.expandtabs(8))
        if kind in COLUMNS and width > COLUMNS[kind]:
            complain(path, n, f"{width} columns, at most {COLUMNS[kind]}")


def check_source(path, lines, kind):
    if len(lines) > FILE_LINES:
        complain(path, len(lines), f"{len(lines)} lines, at most {FILE_LINES}")
    if kind != ".def" and not (lines and lines[0].startswith("/*")):
        complain(path, 1, "no comment at the top that says what lives here")
    if kind == ".c":
        check_functions(path, lines)
    if path.split("/")[0] not in ARROWS:
        return
    for n, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found:
            check_include(path, n, found.group(1))


def check_format(paths):
    for i in range(0, len(paths), 20):
        r = subprocess.run(["clang-format", "--dry-run", "-Werror"] + paths[i:i + 20],
                           capture_output=True, text=True)
        for path, n in sorted(set(re.findall(r"^(\S+?):(\d+):\d+: error: ", r.stderr, re.M))):
            complain(path, int(n), "not as clang-format writes it (clang-format -i)")
        if r.returncode != 0 and not re.search(r": error: ", r.stderr):
            complain("clang-format", 0, r.stderr.strip()[:200])


def check_shell(path):
    r = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    for message in r.stderr.splitlines():
        found = re.search(r"line (\d+): (.*)", message)
        complain(path, int(found.group(1)) if found else 0, found.group(2) if found else message)


# Every reason that users can meet stands in the docs, with the words that conditions use.
def check_reasons():
    with open("model/reasons.def", encoding="utf-8") as f:
        reasons = re.findall(r'^REASON\(\w+, "(.+?)", "(.+?)"\)$', f.read(), re.M)
    with open("docs/status.md", encoding="utf-8") as f:
        lines = f.read().split("\n")
    rows = {f"| `{name}` | {text} |" for name, text in reasons}
    table = lines[lines.index("| reason | what it means, what to do |") + 2:]
    for row in sorted(rows - set(table)):
        complain("docs/status.md", 0, f"lacks the row of model/reasons.def: {row}")
    for n, line in enumerate(lines, 1):
        if line in table and line and line not in rows:
            complain("docs/status.md", n, "not a row of model/reasons.def")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


# What the programs and the CRD say, as patterns: adjacent literals are one, a format is anything. A literal that ends in a colon may be
# followed by another program's words.
def said():
    found = re.findall(r"message: (?:'([^']*)'|\"([^\"]*)\"|(\S.*))$", read("crds/bgdbops.yaml"), re.M)
    found += re.findall(r'message: "([^"]*)"()()', read("crds/bgdbops.yaml"))
    patterns = [re.escape("".join(f).rstrip("}")) for f in found]
    for path in tracked():
        if path.endswith(".c") and path.split("/")[0] in ("plan", "instance", "workers"):
            for text in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', read(path)):
                parts = re.split(r"%[-0-9.*]*l*[a-z]", "".join(ast.literal_eval("(" + text + ")")))
                if len("".join(parts)) >= 12:
                    patterns.append(".*".join(map(re.escape, parts)) + (".*" if parts[-1].endswith(": ") else ""))
    return re.compile("|".join(patterns))


# An operation's page has its example, its fields, and messages that something says.
def check_pages():
    crd = read("crds/bgdbops.yaml")
    ops = re.search(r"enum: \[(restart, .*?)\]", crd).group(1).split(", ")
    index, says = read("docs/dbops.md"), said()
    for op in ops:
        path = f"docs/dbops/{op}.md"
        if not os.path.isfile(path):
            complain(path, 0, "an operation without a page")
            continue
        text = read(path)
        if re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S) != [read(f"deploy/examples/dbops/{op}.yaml")]:
            complain(path, 0, f"its one block of yaml is not deploy/examples/dbops/{op}.yaml")
        section = re.search(rf"^              {op}:\n(.*?)^              \S", crd, re.M | re.S)
        for field in re.findall(r"^                  (\w+):", section.group(1) if section else "", re.M):
            if f"`{field}`" not in text:
                complain(path, 0, f"lacks field {field}")
        if f"(dbops/{op}.md)" not in index:
            complain("docs/dbops.md", 0, f"no link to {path}")
    for path in ["docs/dbops.md"] + [f"docs/dbops/{op}.md" for op in ops]:
        table = False
        for n, line in enumerate(read(path).split("\n") if os.path.isfile(path) else [], 1):
            table = line == "| message | what to do |" or (table and line.startswith("|"))
            found = re.match(r"\| `(.*?)` \|", line)
            if table and found and not says.fullmatch(found.group(1)):
                complain(path, n, f"nothing says: {found.group(1)}")


c_files = []
for path in tracked():
    kind = os.path.splitext(path)[1]
    if kind not in TEXT or path.startswith("fuzz/corpus/"):
        continue
    try:
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
    except UnicodeDecodeError:
        if kind != "":
            complain(path, 0, "not UTF-8")
        continue
    if lines[-1] == "":
        lines.pop()
    check_text(path, lines, kind)
    if kind in COLUMNS:
        check_source(path, lines, kind)
    if kind == ".c":
        c_files.append(path)
    if kind == ".sh" or (lines and re.match(r"#!.*\b(bash|sh)\b", lines[0])):
        check_shell(path)
check_format(c_files)
check_reasons()
check_pages()

for path, n, text in sorted(violations):
    print(f"{path}:{n}: {text}")
print(f"lint: {len(violations)} violations" if violations else "lint: nothing to complain about")
sys.exit(1 if violations else 0)
END
