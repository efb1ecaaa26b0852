#!/usr/bin/env python3
"""Shows on small trees that each rule of check-repository.py can fail, and that it need not.

usage: python3 -B Scripts/test_check_repository.py
"""
import contextlib
import hashlib
import importlib.util
import io
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("check-repository.py")
SPEC = importlib.util.spec_from_file_location("check_repository", SCRIPT)
check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check)


class RepositoryChecks(unittest.TestCase):
    """One small tree a case."""

    def run_on(self, files, git=False):
        """The exit status and the printed lines for a tree of name and text."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            if git:
                subprocess.run(["git", "init", "--quiet", folder], check=True)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                status = check.main([folder])
        return status, output.getvalue().splitlines()

    def assert_finds(self, start, files, git=False):
        """One finding, which starts so."""
        status, lines = self.run_on(files, git)
        self.assertEqual((status, len(lines)), (1, 2), lines)
        self.assertTrue(lines[0].startswith(start), lines)
        self.assertIn(" 1 findings, ", lines[1])

    def assert_passes(self, files, git=False):
        """No finding and no warning."""
        status, lines = self.run_on(files, git)
        self.assertEqual((status, len(lines)), (0, 1), lines)
        self.assertIn(" 0 findings, 0 warnings", lines[0])

    def test_file_size(self):
        for name in ("Tests/A.swift", "a.c", "a.h", "a.py", "a.js"):
            self.assert_finds(f"{name}:1: file-size: 601 lines", {name: "\n" * 601})
            self.assert_passes({name: "\n" * 600})

    def test_function_size(self):
        for head in ("  func f() {", "  public init?(\n    a: Int\n  ) {",
                     "  @M(1) private func f()\n  where T: U {"):
            above = head.count("\n") + 2
            for body_count, check_it in ((60 - above, self.assert_passes), (61 - above, None)):
                text = "struct S {\n" + head + "\n" + "    work()\n" * body_count + "  }\n}\n"
                if check_it:
                    check_it({"Tests/S.swift": text})
                else:
                    self.assert_finds("Tests/S.swift:2: function-size: 61", {"Tests/S.swift": text})

    def test_functions_without_a_body_of_their_own(self):
        lines = "  func f() -> Int\n  func g() { 1 }\n" + "  /// More.\n" * 70
        self.assert_passes({"Tests/P.swift": "protocol P {\n" + lines + "}\n"})

    def test_braces_in_strings_do_not_end_a_function(self):
        body = '    let a = """\n}\n  }\n    """\n' + "    work()\n" * 60
        self.assert_finds(
            "Tests/S.swift:1: function-size", {"Tests/S.swift": "func f() {\n" + body + "}\n"})

    def test_dead_links(self):
        for link in ("[a](b.md)", "[a](/Pages)", "![a](b.png)", "[a]: b.md", '<img src="b.png">',
                     "[a](#none)", "[a](../README.md)", "[a]()"):
            self.assert_finds("README.md:2: dead-link", {"README.md": "# Top\n" + link + "\n"})
        self.assert_finds("README.md:1: bare-image", {"README.md": "![](a.png)", "a.png": ""})

    def test_live_links(self):
        text = ("# Top: `a` and b\n[a](Pages/a.md) [b](Pages/) [c](Pages/a.md#two-words)\n"
                "[d](#top-a-and-b) [e](https://example.org/x) [f](mailto:a@example.org)\n"
                "![an image](Pages/a.png \"title\")\n"
                "`[no](link.md)`\n```\n[no](link.md)\n```\n")
        self.assert_passes({
            "README.md": text, "Pages/a.png": "",
            "Pages/a.md": "## Two *words*\n[up](../README.md)\n"})

    def test_links_to_ignored_files_are_dead(self):
        files = {".gitignore": "/out\n", "README.md": "[a](out/a.txt)", "out/a.txt": ""}
        self.assert_finds("README.md:1: dead-link", files, git=True)
        self.assert_passes({**files, ".gitignore": ""}, git=True)

    def test_print(self):
        for name in ("Sources/API/A.swift", "Tests/A.swift"):
            self.assert_finds(f"{name}:2: print", {name: "\nprint(1)\n"})
        self.assert_finds("Tests/A.swift:1: print", {"Tests/A.swift": 'let a = "\\(print(1))"\n'})
        self.assert_passes({
            "Sources/waypost/A.swift": "print(1)\n",
            "Sources/API/A.swift": '// print(1)\nlet a = "print(1)" + fingerprint(1)\n'})

    def test_unsafe_words(self):
        for word in ("try! f()", "a as! B", "fatalError()", "final class A: @unchecked Sendable {}",
                     "nonisolated(unsafe) var a = 1"):
            name = "Sources/API/A.swift"
            self.assert_finds(f"{name}:1: unsafe", {name: f"{word}\n\n\n\n// Safe: too far.\n"})
            self.assert_finds(f"{name}:2: unsafe", {name: f"// unsafe\n{word}\n"})
            self.assert_passes({name: f"{word}\n\n\n// Safe: near.\n"})
            self.assert_passes({name: f"// Thread-safe.\n\n\n{word}\n", "Tests/A.swift": word})

    def test_open_work_has_an_owner(self):
        for word in ("TO" "DO", "FIX" "ME", "X" "XX"):
            for name, mark in (("A.swift", "//"), ("a.c", "/*"), ("a.js", "//"), ("a.py", "#")):
                self.assert_finds(f"{name}:2: owner", {name: f"\na {mark} {word}: later\n"})
                self.assert_passes({name: f"\na {mark} {word}(ada): later\n"})
            self.assert_passes({"Tests/A.swift": f'let a = "{word}"\n'})

    def test_imports(self):
        for path, line in (
            ("Ledger/A", "internal import Sessions"), ("API/A", "import Foundation"),
            ("Catalog/Deep/A", "public import struct Search.Hit"), ("waypost/A", "import CSQLite"),
            ("Search/A", "@preconcurrency import CKernels"), ("Primitives/A", "import SQLite"),
            ("Misnamed/A", "// A room that the design does not have."),
        ):
            name = f"Sources/{path}.swift"
            self.assert_finds(f"{name}:1: import", {name: line + "\n"})
        self.assert_passes({
            "Sources/SQLite/A.swift": "internal import CSQLite\nimport Glibc\nimport Primitives\n",
            "Sources/Embedding/A.swift": "import Foundation\nimport Dispatch\n",
            "Sources/waypost/A.swift": "import Foundation\nimport API\nimport Index\n",
            "Tests/A.swift": "import Foundation\nimport Testing\n"})

    def test_settings(self):
        rows = ('Setting("port", "PORT", "80", "a"),\n'
                'Setting(\n    "key", "KEY", nil, .secret, "b")\n')
        name, page = "Sources/waypost/Settings.swift", "Pages/settings.md"
        self.assert_finds(f"{name}:1: page: PORT", {name: rows, page: "`--port` `KEY`"})
        self.assert_finds(f"{name}:1: page: --port", {name: rows, page: "--ports PORT KEY"})
        self.assert_finds(f"{name}:2: page: KEY", {name: rows, page: "--port PORT"})
        self.assert_passes({name: rows, page: "`--port` `PORT` `KEY`"})

    def test_routes(self):
        name = "Sources/API/RouteTable.swift"
        for row in ('Route(.get, "/v1/a/{id}", x)', 'Route("GET", "/v1/a/:id")',
                    '.init(\n  "GET", "/v1/a/{n}")'):
            for page in ("`GET /v1/a`", "`POST /v1/a/{id}`", "`GET /v1/a/{id}/b`", ""):
                self.assert_finds(f"{name}:1: page: GET", {name: row, "Pages/http-api.md": page})
            for page in ("`GET /v1/a/{id}`", "| GET | `/v1/a/{id}` |"):
                self.assert_passes({name: row, "Pages/http-api.md": page})

    def test_problem_codes(self):
        name, page = "Sources/Primitives/Refusal.swift", "Pages/problems.md"
        text = ('enum ProblemCode: String, Sendable {\n  /// In case of doubt.\n  case `internal`\n'
                '  case notFound = "not_found"\n\n'
                '  var status: Int { switch self { case .other: 1 } }\n}\n')
        self.assert_finds(f"{name}:4: page: not_found", {name: text, page: "`internal` not_found"})
        self.assert_finds(f"{name}:3: page: internal", {name: text, page: "`not_found`"})
        self.assert_passes({name: text, page: "`internal` `not_found`"})

    def test_shipped_migrations(self):
        folder = "Index/Migrations/"
        sums = f"m1.sql {hashlib.sha256(b'SELECT 1;').hexdigest()}\n"
        self.assert_passes({folder + "m1.sql": "SELECT 2;"})
        self.assert_passes({folder + "m1.sql": "SELECT 1;", folder + "SHIPPED.txt": sums})
        found = f"{folder}SHIPPED.txt:1: migration: m1.sql"
        self.assert_finds(found, {folder + "m1.sql": "SELECT 2;", folder + "SHIPPED.txt": sums})
        self.assert_finds(found, {folder + "SHIPPED.txt": sums})

    def test_sql_is_a_warning(self):
        status, lines = self.run_on({"Sources/API/A.swift": 'let a = "SELECT 1"\n// SELECT 1\n'})
        self.assertEqual((status, len(lines)), (0, 2), lines)
        self.assertTrue(lines[0].startswith("Sources/API/A.swift:1: sql (warning)"), lines)
        self.assertIn(" 0 findings, 1 warnings", lines[1])
        self.assert_passes({"Sources/API/AStore.swift": 'let a = "SELECT 1"\n'})

    def test_the_script_keeps_its_own_limits(self):
        for script in (SCRIPT, Path(__file__)):
            self.assertLessEqual(len(script.read_text("utf-8").splitlines()), 300)


if __name__ == "__main__":
    unittest.main()
