#!/usr/bin/env python3
"""Checks what the compiler does not: sizes, links, imports, pages, shipped migrations.

usage: Scripts/check-repository.py [ROOT]

Prints `path:line: rule: text` for each finding, then one line of counts. The exit status is 1
where there is a finding; a warning alone leaves it 0.
"""
import functools
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
SOURCE_SUFFIXES = (".swift", ".c", ".h", ".py", ".js")
SKIPPED_FOLDERS = {".git", ".build", ".waypost", ".venv", "__pycache__", "node_modules"}

# Who may import whom beside Primitives. C modules stand only at their wrappers.
MODULES = {
    "Index": "", "Prompts": "", "Primitives": "", "Web": "",
    "SQLite": "CSQLite", "HTTPServer": "CMicroHTTPD", "HTTPClient": "CCurl",
    "LinearAlgebra": "CBLAS CKernels", "Cryptography": "COpenSSL CArgon2",
    "Catalog": "SQLite Index HTTPClient", "Embedding": "LinearAlgebra Index",
    "Search": "Catalog Embedding LinearAlgebra SQLite Index Cryptography",
    "Audit": "SQLite Cryptography Index", "Ledger": "SQLite Cryptography Index",
    "Identity": "Audit Cryptography SQLite Index HTTPClient",
    "Sessions": "Ledger Catalog Identity Cryptography SQLite Index",
    "Payments": "Ledger Identity HTTPClient SQLite Index",
    "Delivery": "HTTPClient Cryptography SQLite Index",
    "Insight": "Catalog Search Ledger HTTPClient SQLite Index",
    "Chat": "Search Sessions Prompts HTTPClient SQLite Index Catalog Cryptography Identity",
    "API": "HTTPServer Catalog Search Audit Identity Ledger Sessions Payments Delivery Insight"
           " Chat",
}
MODULES["waypost"] = " ".join(MODULES)
EVERYWHERE = {"Primitives", "Glibc", "Dispatch", "Synchronization"}
FOUNDATION_IN = {"waypost", "Embedding"}

SETTINGS, SETTINGS_PAGE = "Sources/waypost/Settings.swift", "Pages/settings.md"
CODES, CODES_PAGE = "Sources/Primitives/Refusal.swift", "Pages/problems.md"
ROUTES, ROUTES_PAGE = "Sources/API/", "Pages/http-api.md"
SHIPPED = "Index/Migrations/SHIPPED.txt"

SETTING = re.compile(
    r'\bSetting\(\s*"([^"]+)",\s*(?:"([^"]+)"|nil)(?:,\s*(?:"[^"]*"|nil),\s*(\.secret))?')
CODE = re.compile(r'(?:\bcase|,)\s+`?(\w+)`?(?:\s*=\s*"([^"]+)")?')
# A row of the route table: `Route(.get, "/v1/..."`, `.init("GET", "/v1/..."` and their mixtures.
ROUTE = re.compile(
    r'(?:\bRoute|\.init)\(\s*[."](get|head|post|put|patch|delete|options)"?,\s*"(/[^"]*)"', re.I)
PARAMETER = re.compile(r"/(?::\w+|\{[^{}/]+\})")
IMPORT = re.compile(
    r"^[ \t]*(?:(?:@\w+|public|package|internal|fileprivate|private)[ \t]+)*import[ \t]+"
    r"(?:(?:typealias|struct|class|enum|protocol|let|var|func)[ \t]+)?(\w+)", re.M)
FUNCTION = re.compile(
    r"^([ \t]*)(?:@?[\w.]+(?:\([^()\n]*\))?[ \t]+)*(?:func\b|init[?!]?[(<]|deinit\b)", re.M)
UNSAFE = re.compile(
    r"\btry!|\bas!|\bfatalError\(|@unchecked[ \t]+Sendable\b|\bnonisolated\(unsafe\)")
REASSURED = re.compile(r"(?<!un)safe", re.I)
PRINT = re.compile(r"(?<![.\w])print\(")
OWNERLESS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b(?!\(\w)")
SQL = re.compile(r"\b(?:SELECT |INSERT INTO\b|UPDATE |DELETE FROM\b)")
SQL_HOMES = re.compile("Store|Ledger|Desk|Accounts|Tokens|Idempotency|Proposal|Session|Draft"
                       "|Verifier|Cache|Migration|Conversation")
TOKEN = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<hashes>#*)(?P<quote>"""|")|[()]', re.S)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\s*<?([^)\s>]*)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(
    r"^ {0,3}\[[^\]^][^\]]*\]:[ \t]*<?([^\s>]+)|<(?:a|img)\b[^>]*?\b(?:href|src)=[\"']([^\"']*)",
    re.M | re.I)
FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1|(`+)(?!`).+?(?<!`)\2(?!`)", re.M | re.S)


class Finding(NamedTuple):
    """One breach of a rule."""

    path: str
    line: int
    rule: str
    text: str


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
        if token and token.group("comment"):
            layer, step = 1, len(token.group(0))
        elif token and token.group("quote"):
            layer, step = 2, len(token.group(0))
            stack.append((token.group("quote") + token.group("hashes"), 0))
        elif token and token.group(0) == ")" and depth == 1 and len(stack) > 1:
            layer = 2
            stack.pop()
        elif token:
            stack[-1] = ("", depth + (1 if token.group(0) == "(" else -1))
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
        self.folders = {str(folder) for name in self.files for folder in PurePosixPath(name).parents}
        self.text = functools.lru_cache(None)(self._read)
        self.layers = functools.lru_cache(None)(lambda name: split_layers(self.text(name)))

    def _paths(self) -> Iterator[str]:
        """The paths that git tracks or would track; without git, all outside build folders."""
        if (self.root / ".git").exists():
            command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            output = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE, check=True).stdout
            yield from output.decode().split("\0")
        else:
            for folder, names, files in os.walk(self.root):
                names[:] = [name for name in names if name not in SKIPPED_FOLDERS]
                yield from (os.path.relpath(os.path.join(folder, file), self.root) for file in files)

    def _read(self, name: str) -> str:
        """The text of a file; empty where there is none."""
        path = self.root / name
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    def select(self, *suffixes: str, under: str = "") -> List[str]:
        """The paths with one of the suffixes below a folder."""
        return [name for name in self.files if name.endswith(suffixes) and name.startswith(under)]

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
            yield Finding(name, 1, "file-size", f"{count} lines, at most {FILE_LINES_MAX}")
    for name in repo.select(".swift"):
        code, _, _ = repo.layers(name)
        for match in FUNCTION.finditer(code):
            # Deeper lines and what continues a signature, then the brace at the same indentation.
            body = rf".*(?:\n(?:{match[1]}(?:[ \t]|[){{]|->|where\b).*)?)*\n{match[1]}\}}"
            whole = re.compile(body).match(code, match.start())
            count = whole[0].count("\n") + 1 if whole else 1
            if count > FUNCTION_LINES_MAX:
                text = f"{count} lines, at most {FUNCTION_LINES_MAX}"
                yield Finding(name, line_of(code, match.start()), "function-size", text)


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
    path = path.partition("?")[0]
    folder = "" if path.startswith("/") else str(PurePosixPath(page).parent)
    goal = os.path.normpath(os.path.join(folder, path.lstrip("/"))) if path else page
    if goal not in repo.folders and goal not in repo.files:
        return f"there is no tracked {goal}"
    if anchor and goal.endswith(".md") and anchor.lower() not in anchors(repo.text(goal)):
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
                yield Finding(name, line_of(text, offset), "dead-link", f"({target}) {fault}")
        for match in LINK.finditer(text):
            if match[1] and not match[2].strip():
                yield Finding(name, line_of(text, match.start()), "bare-image", match[0])


def check_words(repo: Repository) -> Iterator[Finding]:
    """Only the command prints, and what looks unsafe says why it is safe."""
    for name in repo.select(".swift"):
        code, comments, _ = repo.layers(name)
        near = comments.split("\n")
        for match in PRINT.finditer(code) if not name.startswith("Sources/waypost/") else ():
            yield Finding(name, line_of(code, match.start()), "print", "only Sources/waypost prints")
        for match in UNSAFE.finditer(code) if name.startswith("Sources/") else ():
            line = line_of(code, match.start())
            if not REASSURED.search("\n".join(near[max(0, line - 4):line + 3])):
                yield Finding(name, line, "unsafe", f"{match[0]} has no comment on why it is safe")


def check_owners(repo: Repository) -> Iterator[Finding]:
    """A comment that leaves work open names who owns it."""
    for name in repo.select(*SOURCE_SUFFIXES):
        python = re.sub(r"^[^#\n]*", "", repo.text(name), flags=re.M)
        comments = python if name.endswith(".py") else repo.layers(name)[1]
        for number, line in enumerate(comments.split("\n"), 1):
            if OWNERLESS.search(line):
                yield Finding(name, number, "owner", f"no owner, as in TO" f"DO(name): {line.strip()}")


def check_imports(repo: Repository) -> Iterator[Finding]:
    """A module imports what the table grants; a C module stays in its wrapper."""
    for name in repo.select(".swift"):
        folders = name.split("/")
        module = folders[1] if folders[0] == "Sources" else folders[0]
        if folders[0] not in ("Sources", "Index", "Prompts") or module == "C":
            continue
        if module not in MODULES:
            yield Finding(name, 1, "import", f"{module} is not in the table of modules")
            continue
        granted = EVERYWHERE | set(MODULES[module].split())
        granted |= {"Foundation"} if module in FOUNDATION_IN else set()
        code, _, _ = repo.layers(name)
        for match in IMPORT.finditer(code):
            if match[1] not in granted:
                text = f"{module} may not import {match[1]}"
                yield Finding(name, line_of(code, match.start(1)), "import", text)


def promises(repo: Repository) -> Iterator[Tuple[str, int, str, str, str]]:
    """What pages must name: file, line, the page, the name, a pattern of it on the page."""
    text = repo.uncommented(SETTINGS)
    for row in SETTING.finditer(text):
        flag = "" if row[3] else "--" + row[1]  # A secret is read from the environment only.
        for word in filter(None, (flag, row[2])):
            yield SETTINGS, line_of(text, row.start()), SETTINGS_PAGE, word, re.escape(word)
    text = repo.uncommented(CODES)
    body = re.search(r"(?<=enum ProblemCode)\b[^{]*\{.*?(?=\bvar\b|\n\})", text, re.S)
    for case in CODE.finditer(text, text.index("{", body.start()), body.end()) if body else ():
        word = case[2] or case[1]
        yield CODES, line_of(text, case.start(1)), CODES_PAGE, word, f"`{word}`"
    for name in repo.select(".swift", under=ROUTES):
        text = repo.uncommented(name)
        for route in ROUTE.finditer(text):
            pattern = rf"{route[1].upper()}[\s`|]+" + re.escape(PARAMETER.sub("/{}", route[2]))
            word = f"{route[1].upper()} {route[2]}"
            yield name, line_of(text, route.start()), ROUTES_PAGE, word, pattern + r"(?![/{])"


def check_pages(repo: Repository) -> Iterator[Finding]:
    """Every setting, route and problem code is on its page."""
    for name, line, page, word, pattern in promises(repo):
        if not re.search(rf"(?<![\w-]){pattern}(?![\w-])", PARAMETER.sub("/{}", repo.text(page))):
            yield Finding(name, line, "page", f"{word} is not in {page}")


def check_migrations(repo: Repository) -> Iterator[Finding]:
    """A migration listed as shipped is there and has not changed by a byte."""
    for number, line in enumerate(repo.text(SHIPPED).splitlines(), 1):
        words = line.split()
        if words and not line.startswith("#"):
            path = (repo.root / SHIPPED).parent / words[0]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
            if words[1:] != [found]:
                yield Finding(SHIPPED, number, "migration", f"{words[0]} was shipped; now {found}")


def warn_of_sql(repo: Repository) -> Iterator[Finding]:
    """SQL outside the files that hold a store."""
    for name in repo.select(".swift", under="Sources/"):
        _, _, strings = repo.layers(name)
        for match in SQL.finditer(strings) if not SQL_HOMES.search(Path(name).name) else ():
            text = f"warning: {match[0].strip()} belongs in a Store file"
            yield Finding(name, line_of(strings, match.start()), "sql", text)


CHECKS = (check_sizes, check_links, check_words, check_owners, check_imports, check_pages,
          check_migrations)


def main(arguments: List[str]) -> int:
    """Checks a tree, by default the one that holds this script; returns the exit status."""
    repo = Repository(Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve())
    findings = [finding for check in CHECKS for finding in check(repo)]
    warnings = list(warn_of_sql(repo))
    for finding in sorted(findings) + sorted(warnings):
        print(f"{finding.path}:{finding.line}: {finding.rule}: {finding.text}")
    counts = f"{len(repo.files)} files, {len(findings)} findings, {len(warnings)} warnings"
    print(f"check-repository: {counts}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
