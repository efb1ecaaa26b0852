import Catalog
import Primitives
import SQLite
import Testing
import TestSupport

private let good = #"{"id":"good-1","providerId":"acme","name":"Good one"}"#
private let alsoGood = #"{"id":"good-2","providerId":"acme","name":"Good two"}"#

/// A line that is refused: its text, the field that is said, and a part of the reason.
private let refused: [(String, String, String)] = [
  (#"{"id":"Bad Id","name":"x"}"#, "id", #"must match [a-z0-9][a-z0-9._-]{0,127}, got "Bad Id""#),
  (#"{"id":"a"}"#, "name", "is missing"),
  (#"{"id":"a","name":"x","kind":"service"}"#, "kind", #"got "service""#),
  (#"{"id":"a","name":"x","contextWindow":"8k"}"#, "contextWindow", "must be a whole number"),
  (#"{"id":"a","name":"x","websiteUrl":"http://a.b"}"#, "websiteUrl", "https link"),
  (
    #"{"id":"a","name":"x","offers":[{"prices":[{"meter":"call"}]}]}"#,
    "offers/0/prices/0/per", "must be a whole number"
  ),
  (#"{"id":"a","name":"x","trial":{"minutes":1}}"#, "trial/minutes", "from 5 to 180"),
  (#"[1]"#, "line", "must be a JSON object"),
  (#""text""#, "line", "must be a JSON object"),
  (#"{"id":"a","name":"x""#, "line", "no JSON: unexpectedEnd at byte"),
  (#"{"id":"a","id":"b","name":"x"}"#, "line", "no JSON: duplicateKey"),
  (#"{"id":"a","name":"x"} more"#, "line", "no JSON: trailingText at byte"),
  (#"id,name"#, "line", "no JSON: unexpectedCharacter"),
  ("{\"id\":\"a\",\"name\":\"x\ty\"}", "line", "no JSON: "),
]

@Suite("Import of JSON Lines")
struct ImporterTests {
  @Test("a refused line is said with file, line, field and reason, and the rest is imported")
  func refusals() async throws {
    for (text, field, reason) in refused {
      let record = try Record()
      let file = try record.folder.file("catalog.jsonl", lines: [good, text, alsoGood])
      let (report, said) = try await record.imported([file])
      #expect(report.created == 2, "\(text)")
      #expect(report.refused == 1, "\(text)")
      #expect(said.count == 1, "\(text)")
      let line = try #require(said.first)
      #expect(line.hasPrefix("\(file):2: \(field): "), "\(line)")
      #expect(line.contains(reason), "\(line)")
      let revision = try await record.revision()
      #expect(revision == 2)
    }
  }

  @Test("a line with several faults is one refused line with each fault said")
  func several() async throws {
    let record = try Record()
    let text = #"{"id":"a","name":"x","kind":"thing","rating":9}"#
    let file = try record.folder.file("catalog.jsonl", lines: [text])
    let (report, said) = try await record.imported([file])
    #expect(report.refused == 1)
    #expect(said.count == 2)
    let isPlaced = said.allSatisfy { $0.hasPrefix("\(file):1: ") }
    #expect(isPlaced)
  }

  @Test("a refused value is shown, cut to 80 characters and on one line")
  func value() async throws {
    let record = try Record()
    let long = String(repeating: "x", count: 300)
    let lines = [
      #"{"id":"a","name":"x","kind":"\#(long)"}"#, #"{"id":"a","name":"x","kind":"one\ntwo"}"#,
    ]
    let file = try record.folder.file("catalog.jsonl", lines: lines)
    let (_, said) = try await record.imported([file])
    let first = try #require(said.first)
    let range = try #require(first.firstRange(of: ", got "))
    let shown = first[range.upperBound...].unicodeScalars.count
    #expect(shown == 80)
    let isOneLine = said.allSatisfy { !$0.contains("\n") }
    #expect(isOneLine)
  }

  @Test("bad UTF-8 refuses its line only")
  func badUTF8() async throws {
    let record = try Record()
    var bytes = Array((good + "\n").utf8)
    bytes += Array(#"{"id":"a","name":""#.utf8) + [0xFF, 0xFE] + Array("\"}\n".utf8)
    bytes += Array(alsoGood.utf8)
    let file = try record.folder.file("catalog.jsonl", bytes)
    let (report, said) = try await record.imported([file])
    #expect(report.created == 2)
    #expect(said.count == 1)
    #expect(said.first?.contains(":2: line: no JSON: badUTF8") == true)
  }

  @Test("a line of exactly 1,048,576 bytes is taken, a longer one refused, and the next one read")
  func longLines() async throws {
    let record = try Record()
    let full = good + String(repeating: " ", count: 1_048_576 - good.utf8.count)
    let over = alsoGood + String(repeating: " ", count: 1_048_577 - alsoGood.utf8.count)
    let last = #"{"id":"good-3","name":"Good three"}"#
    let file = try record.folder.file("catalog.jsonl", lines: [full, over, last])
    let (report, said) = try await record.imported([file])
    #expect(report.created == 2)
    #expect(report.refused == 1)
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("\(file):2: ") == true)
    #expect(said.first?.contains("1048576") == true)
    let stored = try await record.stored("good-3")
    #expect(stored?.service.name == "Good three")
  }

  @Test("a line that is too long is said with a field too")
  func longLineField() async throws {
    let record = try Record()
    let over = good + String(repeating: " ", count: 1_048_577 - good.utf8.count)
    let file = try record.folder.file("catalog.jsonl", lines: [over])
    let (_, said) = try await record.imported([file])
    let line = try #require(said.first)
    let parts = line.dropFirst("\(file):1: ".count).split(
      separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    #expect(parts.first?.isEmpty == false)
  }

  @Test("blank lines, CRLF and a missing last newline change nothing but the count of lines")
  func shapes() async throws {
    let texts = [
      good + "\n" + alsoGood + "\n", good + "\n" + alsoGood, good + "\r\n" + alsoGood + "\r\n",
      good + "\r\n\r\n\r\n" + alsoGood, "\n\n  \t \n" + good + "\n\n" + alsoGood + "\n\n\n",
      good + "\r\n" + alsoGood + "\r",
    ]
    for text in texts {
      let record = try Record()
      let file = try record.folder.file("catalog.jsonl", Array(text.utf8))
      let (report, said) = try await record.imported([file])
      #expect(report.created == 2, "\(text.debugDescription)")
      #expect(said.isEmpty, "\(text.debugDescription)")
    }
    let record = try Record()
    let text = "\r\n\r\n" + good + "\r\n\n[]\r\n"
    let file = try record.folder.file("catalog.jsonl", Array(text.utf8))
    let (_, said) = try await record.imported([file])
    #expect(said.first?.hasPrefix("\(file):5: line: ") == true)
  }

  @Test("bytes in memory read as a file does", arguments: ["\n", "\r\n", "\n\n", "\r\n\r\n"])
  func inMemory(separator: String) async throws {
    let record = try Record()
    let text = good + separator + "[]" + separator + alsoGood + separator
    let (report, said) = try await record.imported(bytes: Array(text.utf8))
    #expect(report.created == 2)
    #expect(report.refused == 1)
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("body:") == true)
  }

  @Test("an empty file is imported as nothing")
  func empty() async throws {
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", [])
    let (report, said) = try await record.imported([file])
    #expect(report.taken == 0)
    #expect(said.isEmpty)
  }

  @Test("a folder gives its .jsonl files by name, and no figures")
  func folder() async throws {
    let record = try Record()
    let folder = try TemporaryFolder()
    _ = try folder.file("b.jsonl", lines: [#"{"id":"b","name":"B"}"#, "[]"])
    _ = try folder.file("a.jsonl", lines: [#"{"id":"a","name":"A"}"#, "[]"])
    _ = try folder.file("metrics-daily.jsonl", lines: [#"{"id":"m","name":"M"}"#])
    _ = try folder.file("notes.txt", lines: ["nothing"])
    let (report, said) = try await record.imported([folder.path])
    #expect(report.created == 2)
    #expect(said.count == 2)
    #expect(said.first?.hasPrefix(folder.path + "/a.jsonl:2: ") == true)
    #expect(said.last?.hasPrefix(folder.path + "/b.jsonl:2: ") == true)
  }

  @Test("a path that is not there is refused", arguments: [(false, false), (true, false)])
  func unreadable(atomic: Bool, dryRun: Bool) async throws {
    let record = try Record()
    let path = record.folder.path + "/nothing.jsonl"
    let found = try await refusal {
      _ = try await record.imported([path], atomic: atomic, dryRun: dryRun)
    }
    #expect(found?.code == ProblemCode.validationFailed)
  }

  @Test("the progress counts lines after every batch")
  func progress() async throws {
    let record = try Record()
    let lines = (0..<5).map { #"{"id":"s\#($0)","name":"S"}"# } + ["[]"]
    let file = try record.folder.file("catalog.jsonl", lines: lines)
    var options = Importer.Options()
    options.batchCount = 2
    let counts = Lines()
    let importer = Importer(
      database: record.database, clock: Clock { Moment.first }, options: options,
      report: { _ in }, progress: { counts.append("\($0)") })
    let report = try await importer.run([file])
    #expect(report.created == 5)
    #expect(counts.all == ["2", "4", "6"])
  }

  @Test(
    "the first batch of several and the last one can be noted, once, in their transactions",
    arguments: [
      ([0], []), ([1], ["end 1"]), ([2], ["begun", "end 2"]), ([3], ["begun", "end 3"]),
      ([4], ["begun", "end 4"]), ([2, 0], ["begun", "end 2"]), ([0, 2], ["begun", "end 2"]),
      ([3, 1, 0], ["begun", "end 4"]),
    ] as [([Int], [String])])
  func notes(counts: [Int], expected: [String]) async throws {
    let record = try Record()
    let folder = try TemporaryFolder()
    for (index, count) in counts.enumerated() {
      let lines = (0..<count).map { #"{"id":"s\#(index)-\#($0)","name":"S"}"# }
      _ = try folder.file("\(index).jsonl", lines: lines)
    }
    let said = Lines()
    var options = Importer.Options()
    options.batchCount = 2
    options.note = { report, connection in
      let stored = try connection.first("SELECT count(*) FROM service") { $0.int(0) }
      if let report {
        #expect(stored == Int64(report.created), "in the last batch's transaction")
      } else {
        #expect(stored == 0, "before the first")
      }
      said.append(report.map { "end \($0.created)" } ?? "begun")
    }
    let importer = Importer(
      database: record.database, clock: Clock { Moment.first }, options: options,
      report: { _ in }, progress: { _ in })
    _ = try await importer.run([folder.path])
    #expect(said.all == expected)
  }

  @Test("where the note fails, its batch is not imported")
  func noteFails() async throws {
    let record = try Record()
    var options = Importer.Options()
    options.note = { _, _ in throw Refusal(.internal, "no note") }
    let importer = Importer(
      database: record.database, clock: Clock { Moment.first }, options: options,
      report: { _ in }, progress: { _ in })
    let found = try await refusal {
      _ = try await importer.run(lines: Array(#"{"id":"a","name":"A"}"#.utf8), name: "body")
    }
    #expect(found?.code == ProblemCode.internal)
    let stored = try await record.database.read {
      try $0.first("SELECT count(*) FROM service") { $0.int(0) }
    }
    #expect(stored == 0)
  }
}

@Suite("What an import leaves in the record")
struct ImportEffectTests {
  @Test("atomic refuses everything where one line is refused", arguments: [0, 1, 2])
  func atomic(place: Int) async throws {
    var lines = [good, alsoGood]
    lines.insert("{}", at: place)
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", lines: lines)
    let found = try await refusal { _ = try await record.imported([file], atomic: true) }
    #expect(found?.code == ProblemCode.validationFailed)
    let bytes = Array(lines.joined(separator: "\n").utf8)
    let inMemory = try await refusal { _ = try await record.imported(bytes: bytes, atomic: true) }
    #expect(inMemory?.code == ProblemCode.validationFailed)
    let revision = try await record.revision()
    #expect(revision == 0)
    let providers = try await record.database.read {
      try CatalogStore.providers(after: "", limit: 10, on: $0)
    }
    #expect(providers.isEmpty)
  }

  @Test("atomic imports everything where every line is good")
  func atomicGood() async throws {
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", lines: [good, alsoGood])
    let (report, said) = try await record.imported([file], atomic: true)
    #expect(report.created == 2)
    #expect(report.revision == 2)
    #expect(said.isEmpty)
  }

  @Test("a dry run reports as an import does and writes nothing")
  func dryRun() async throws {
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", lines: [good, "[]", alsoGood])
    let (report, said) = try await record.imported([file], dryRun: true)
    #expect(report.taken == 2)
    #expect(report.refused == 1)
    #expect(said.count == 1)
    let bytes = Array((good + "\n[]\n").utf8)
    let (inMemory, saidOfBytes) = try await record.imported(bytes: bytes, dryRun: true)
    #expect(inMemory.taken == 1)
    #expect(inMemory.refused == 1)
    #expect(saidOfBytes.count == 1)
    let revision = try await record.revision()
    #expect(revision == 0)
  }

  @Test("an import repeated changes nothing", arguments: [1, 2, 64])
  func repeated(batchCount: Int) async throws {
    let record = try Record()
    let lines = (0..<7).map { number in
      #"{"id":"s\#(number)","name":"S","tags":["t"],"offers":[{"plan":"free"}],"more":{"a":1.50}}"#
    }
    let file = try record.folder.file("catalog.jsonl", lines: lines)
    let (first, _) = try await record.imported([file], batchCount: batchCount)
    #expect(first.created == 7)
    let (second, said) = try await record.imported([file], batchCount: batchCount)
    #expect(second.same == 7)
    #expect(second.created == 0)
    #expect(second.changed == 0)
    #expect(second.revision == first.revision)
    #expect(said.isEmpty)
  }

  @Test("a changed line changes its service only")
  func changed() async throws {
    let record = try Record()
    let file = try record.folder.file("catalog.jsonl", lines: [good, alsoGood])
    _ = try await record.imported([file])
    let other = #"{"id":"good-2","providerId":"acme","name":"Good two","tagline":"New"}"#
    let next = try record.folder.file("next.jsonl", lines: [good, other])
    let (report, _) = try await record.imported([next])
    #expect(report.changed == 1)
    #expect(report.same == 1)
    #expect(report.revision == 3)
  }

  @Test("of two lines with one id the later stands")
  func twice() async throws {
    let record = try Record()
    let other = #"{"id":"good-1","providerId":"acme","name":"Later"}"#
    let file = try record.folder.file("catalog.jsonl", lines: [good, other])
    let (report, _) = try await record.imported([file])
    #expect(report.created == 1)
    #expect(report.changed == 1)
    let stored = try await record.stored("good-1")
    #expect(stored?.service.name == "Later")
  }

  @Test("a line with another provider's listing is refused alone, and the rest is imported")
  func foreign() async throws {
    let record = try Record()
    _ = try await record.put(try listing(["id": "good-1", "providerId": "globex"]))
    let file = try record.folder.file("catalog.jsonl", lines: [good, alsoGood])
    let (report, said) = try await record.imported([file])
    #expect(report.created == 1)
    #expect(report.refused == 1)
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("\(file):1: ") == true)
  }
}
