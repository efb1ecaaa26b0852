#!/usr/bin/env python3
"""Checks what the compiler does not: sizes, links, imports, pages, shipped migrations.

`Scripts/check-repository.py [ROOT]` prints `path:line: rule: text` for each finding, then counts.
The exit status is 1 where there is a finding; a warning alone leaves it 0.
"""
import functools
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Iterator, List, Optional, Tuple
from urllib.parse import unquote

FILE_LINES_MAX, FUNCTION_LINES_MAX = 600, 60
SOURCE_SUFFIXES = (".swift", ".c", ".h", ".py", ".js")
SKIPPED_FOLDERS = {".git", ".build", ".waypost", ".venv", "__pycache__", "node_modules"}

# Who may import whom beside Primitives. C modules stand only at their wrappers.
MODULES = {
    "Index": "", "Prompts": "", "Primitives": "", "Web": "",
    "SQLite": "CSQLite", "HTTPServer": "CMicroHTTPD", "HTTPClient": "CCurl",
    "LinearAlgebra": "CBLAS CKernels", "Cryptography": "COpenSSL CArgon2",
    "Catalog": "SQLite Index HTTPClient", "Embedding": "LinearAlgebra Index Foundation",
    "Search": "Catalog Embedding LinearAlgebra SQLite Index Cryptography",
    "Ledger": "SQLite Cryptography Index", "Identity": "Cryptography SQLite Index HTTPClient",
    "Authorization": "Identity HTTPClient Cryptography SQLite",
    "Sessions": "Ledger Catalog Identity Cryptography SQLite Index Prompts",
    "Payments": "Ledger Identity HTTPClient Cryptography SQLite Index",
    "Delivery": "Identity Ledger HTTPClient Cryptography SQLite",
    "Chat": "Search Sessions Prompts HTTPClient SQLite Index Catalog Cryptography Identity",
    "API": "SQLite Cryptography HTTPServer Catalog Search Identity Authorization Ledger Sessions Payments Delivery Chat"
}
MODULES["waypost"] = " ".join(MODULES) + " Foundation"
EVERYWHERE = {"Primitives", "Glibc", "Dispatch", "Synchronization"}
IMPORT = re.compile(r"^[ \t]*(?:[@\w]+[ \t]+)*import[ \t]+(?:[a-z]+[ \t]+)?(\w+)", re.M)

SETTINGS, CODES = "Sources/waypost/Settings.swift", "Sources/Primitives/Refusal.swift"
SHIPPED = "Index/Migrations/SHIPPED.txt"
SETTING = re.compile(
    r'\bSetting\(\s*"([^"]+)",\s*(?:"([^"]+)"|nil)(?:,\s*(?:"[^"]*"|nil),\s*(\.secret))?')
CODE_LIST = re.compile(r"\benum ProblemCode\b[^{]*\{(.*?)(?=\bvar\b|\n\})", re.S)
CODE = re.compile(r'(?:\bcase|,)\s+`?(\w+)`?(?:\s*=\s*"([^"]+)")?')
# A row of the route table: `Route(.get, "/v1/..."`, `.init("GET", "/v1/..."` and their mixtures.
ROUTE = re.compile(
    r'(?:\bRoute|\.init|\.keyed)\(\s*[."](get|head|post|put|patch|delete|options)"?,\s*"(/[^"]*)"', re.I)
PARAMETER = re.compile(r"/(?::\w+|\{[^{}/]+\})")
FUNCTION = re.compile(r"^([ \t]*)(?:@?\w+(?:\([^()\n]*\))?[ \t]+)*(?:func\b|init[?!]?[(<])", re.M)
UNSAFE = re.compile(r"\b(?:try!|as!|fatalError\(|nonisolated\(unsafe\))|@unchecked Sendable\b")
REASSURED = re.compile(r"(?<!un)safe", re.I)
PRINT = re.compile(r"(?<![.\w])print\(")
OWNERLESS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\(\w)")
SQL = re.compile(r"\b(?:SELECT |INSERT INTO\b|UPDATE |DELETE FROM\b)")
SQL_HOMES = re.compile("Store|Ledger|Desk|Accounts|Tokens|Idempotency|Proposal|Session|Draft"
                       "|Verifier|Cache|Migration|Conversation|Audit")
TOKEN = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<hashes>#*)(?P<quote>"""|")|[()]', re.S)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\s*<?([^)\s>]*)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(
    r"^ {0,3}\[[^\]^][^\]]*\]:[ \t]*<?([^\s>]+)|<(?:a|img)\b[^>]*?\b(?:href|src)=[\"']([^\"']*)",
    re.M | re.I)
FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})(?s:.*?)^ {0,3}\1|(`+)(?!`).+?(?<!`)\2(?!`)", re.M)

Finding = Tuple[str, int, str, str]  # Path, line, rule, text.


def split_layers(text: str) -> Tuple[str, ...]:
    """Code, comments and strings of Swift or C text, each blank where another has its text."""
    layers = [["\n" if character == "\n" else " " for character in text] for _ in range(3)]
    # Inmost last: the delimiter of a string, or "" and the open parentheses of an interpolation.
    stack, at = [("", 0)], 0
    while at < len(text):
        closing, depth = stack[-1]
        layer, step = (2, 1) if closing else (0, 1)
        escape = "\\" + closing.lstrip('"')
        token = None if closing else TOKEN.match(text, at)
        if token and token["comment"]:
            layer, step = 1, len(token[0])
        elif token and token["quote"]:
            layer, step = 2, len(token[0])
            stack.append((token["quote"] + token["hashes"], 0))
        elif token and token[0] == ")" and depth == 1 and len(stack) > 1:
            layer = 2
            stack.pop()
        elif token:
            stack[-1] = ("", depth + (1 if token[0] == "(" else -1))
        elif closing and text.startswith(closing, at):
            step = len(stack.pop()[0])
        elif closing and text.startswith(escape, at):
            step = len(escape) + 1
            if text.startswith("(", at + len(escape)):
                stack.append(("", 1))
        elif closing and text[at] == "\n" and '"""' not in closing:
            stack.pop()  # No string of Swift: take up again at the next line.
        layers[layer][at:at + step] = text[at:at + step]
        at += step
    return tuple("".join(layer) for layer in layers)


class Repository:
    """The files of a tree, read once."""

    def __init__(self, root: Path) -> None:
        """Lists the files below a root."""
        self.root = root
        self.files = sorted(name for name in set(self._paths()) if (root / name).is_file())
        self.folders = {str(above) for name in self.files for above in PurePosixPath(name).parents}

    def _paths(self) -> Iterator[str]:
        """The paths that git tracks or would track; without git, all outside build folders."""
        if (self.root / ".git").exists():
            command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            yield from subprocess.check_output(command, cwd=self.root).decode().split("\0")
            return
        for folder, names, files in os.walk(self.root):
            names[:] = [name for name in names if name not in SKIPPED_FOLDERS]
            yield from (os.path.relpath(os.path.join(folder, file), self.root) for file in files)

    def select(self, *suffixes: str, under: str = "") -> List[str]:
        """The paths with one of the suffixes below a folder."""
        return [name for name in self.files if name.endswith(suffixes) and name.startswith(under)]

    @functools.lru_cache(maxsize=None)
    def text(self, name: str) -> str:
        """The text of a file; empty where there is none."""
        path = self.root / name
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    @functools.lru_cache(maxsize=None)
    def layers(self, name: str) -> Tuple[str, ...]:
        """The code, the comments and the strings of a Swift or C file."""
        return split_layers(self.text(name))

    def uncommented(self, name: str) -> str:
        """A Swift file with blanks in place of its comments."""
        code, _, strings = self.layers(name)
        return "".join(map(max, code, strings))


def line_of(text: str, offset: int) -> int:
    """The line, from 1, of an offset."""
    return text.count("\n", 0, offset) + 1


def check_sizes(repo: Repository) -> Iterator[Finding]:
    """No source file (tests too) and no Swift function is over its limit of lines."""
    for name in repo.select(*SOURCE_SUFFIXES):
        count = len(repo.text(name).splitlines())
        if count > FILE_LINES_MAX:
            yield name, 1, "file-size", f"{count} lines, at most {FILE_LINES_MAX}"
    for name in repo.select(".swift"):
        code, _, _ = repo.layers(name)
        for match in FUNCTION.finditer(code):
            # Deeper lines and what continues a signature, then the brace at the same indentation.
            body = rf".*(?:\n(?:{match[1]}(?:[ \t]|[){{]|->|where\b).*)?)*\n{match[1]}\}}"
            whole = re.compile(body).match(code, match.start())
            count = whole[0].count("\n") + 1 if whole else 1
            if count > FUNCTION_LINES_MAX:
                text = f"{count} lines, at most {FUNCTION_LINES_MAX}"
                yield name, line_of(code, match.start()), "function-size", text


def anchors(text: str) -> Iterator[str]:
    """The anchors of a page: its headings as GitHub names them, and explicit ids."""
    yield from re.findall(r"<[^>]+\b(?:id|name)=[\"']([^\"']+)", text)
    for heading in re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", text, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def link_fault(repo: Repository, page: str, target: str) -> Optional[str]:
    """Why a link of a page leads nowhere; None where it is well or leads out to the network."""
    if re.match(r"[a-zA-Z][\w+.-]*:|//", target):
        return None
    path, _, anchor = unquote(target).partition("#")
    folder = "" if path.startswith("/") else os.path.dirname(page)
    goal = os.path.normpath(os.path.join(folder, path.lstrip("/"))) if path else page
    if goal not in repo.folders and goal not in repo.files:
        return f"there is no tracked {goal}"
    if anchor and goal.endswith(".md") and anchor not in anchors(repo.text(goal)):
        return f"{goal} has no heading #{anchor}"
    return None if target else "the target is empty"


def check_links(repo: Repository) -> Iterator[Finding]:
    """Every relative link and image of a page leads to a tracked file; an image has words."""
    for name in repo.select(".md"):
        text = FENCED.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), repo.text(name))
        links = [(match.start(), match[3]) for match in LINK.finditer(text)]
        links += [(match.start(), match[1] or match[2] or "") for match in REFERENCE.finditer(text)]
        for offset, target in links:
            fault = link_fault(repo, name, target)
            if fault:
                yield name, line_of(text, offset), "dead-link", f"({target}) {fault}"
        for match in LINK.finditer(text):
            if match[1] and not match[2].strip():
                yield name, line_of(text, match.start()), "bare-image", match[0]


def check_words(repo: Repository) -> Iterator[Finding]:
    """Only the command prints; what looks unsafe says why it is safe; open work has an owner."""
    for name in repo.select(".swift"):
        code, comments, _ = repo.layers(name)
        near = comments.split("\n")
        for match in PRINT.finditer(code) if not name.startswith("Sources/waypost/") else ():
            yield name, line_of(code, match.start()), "print", "only Sources/waypost prints"
        for match in UNSAFE.finditer(code) if name.startswith("Sources/") else ():
            line = line_of(code, match.start())
            if not REASSURED.search("\n".join(near[max(0, line - 4):line + 3])):
                yield name, line, "unsafe", f"{match[0]} has no comment on why it is safe"
    for name in repo.select(*SOURCE_SUFFIXES):
        python = re.sub(r"^[^#\n]*", "", repo.text(name), flags=re.M)
        comments = python if name.endswith(".py") else repo.layers(name)[1]
        for match in OWNERLESS.finditer(comments):
            yield name, line_of(comments, match.start()), "owner", f"{match[0]} without (name)"


def check_imports(repo: Repository) -> Iterator[Finding]:
    """A module imports what the table grants; a C module stays in its wrapper."""
    for name in repo.select(".swift"):
        folders = name.split("/")
        module = folders[1] if folders[0] == "Sources" else folders[0]
        if folders[0] not in ("Sources", "Index", "Prompts") or module == "C":
            continue
        if module not in MODULES:
            yield name, 1, "import", f"{module} is not in the table of modules"
        granted = EVERYWHERE | set(MODULES.get(module, "").split())
        code, _, _ = repo.layers(name)
        for match in IMPORT.finditer(code):
            if match[1] not in granted:
                line = line_of(code, match.start(1))
                yield name, line, "import", f"{module} may not import {match[1]}"


def promises(repo: Repository) -> Iterator[Tuple[str, int, str, str, str]]:
    """What pages must name: file, line, the page, the name, a pattern of it on the page."""
    text = repo.uncommented(SETTINGS)
    for row in SETTING.finditer(text):
        flag = "" if row[3] else "--" + row[1]  # A secret is read from the environment only.
        for word in filter(None, (flag, row[2])):
            yield SETTINGS, line_of(text, row.start()), "settings.md", word, re.escape(word)
    text = repo.uncommented(CODES)
    for case in (case for body in CODE_LIST.finditer(text) for case in CODE.finditer(body[1])):
        word = case[2] or case[1]
        yield CODES, line_of(text, text.find(case[0])), "problems.md", word, f"`{word}`"
    for name in repo.select(".swift", under="Sources/API/"):
        text = repo.uncommented(name)
        for route in ROUTE.finditer(text):
            method, path = route[1].upper(), route[2]
            pattern = rf"{method}[\s`|]+{re.escape(PARAMETER.sub('/{}', path))}(?![/{{])"
            yield name, line_of(text, route.start()), "http-api.md", f"{method} {path}", pattern


def check_pages(repo: Repository) -> Iterator[Finding]:
    """Every setting, route and problem code is on its page."""
    for name, line, page, word, pattern in promises(repo):
        text = PARAMETER.sub("/{}", repo.text("Pages/" + page))
        if not re.search(rf"(?<![\w-]){pattern}(?![\w-])", text):
            yield name, line, "page", f"{word} is not in Pages/{page}"


def check_migrations(repo: Repository) -> Iterator[Finding]:
    """A migration listed as shipped is there and has not changed by a byte."""
    for number, line in enumerate(repo.text(SHIPPED).splitlines(), 1):
        words = line.split()
        if words and not line.startswith("#"):
            path = (repo.root / SHIPPED).parent / words[0]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
            if words[1:] != [found]:
                yield SHIPPED, number, "migration", f"{words[0]} was shipped; now {found}"


def warn_of_sql(repo: Repository) -> Iterator[Finding]:
    """SQL outside the files that hold a store."""
    for name in repo.select(".swift", under="Sources/"):
        _, _, strings = repo.layers(name)
        for match in SQL.finditer(strings) if not SQL_HOMES.search(Path(name).name) else ():
            yield name, line_of(strings, match.start()), "sql (warning)", "belongs in a Store file"


CHECKS = (check_sizes, check_links, check_words, check_imports, check_pages, check_migrations)


def main(arguments: List[str]) -> int:
    """Checks a tree, by default the one that holds this script; returns the exit status."""
    repo = Repository(Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve())
    findings = [finding for check in CHECKS for finding in check(repo)]
    warnings = list(warn_of_sql(repo))
    for path, line, rule, text in sorted(findings) + sorted(warnings):
        print(f"{path}:{line}: {rule}: {text}")
    counts = f"{len(repo.files)} files, {len(findings)} findings, {len(warnings)} warnings"
    print(f"check-repository: {counts}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
