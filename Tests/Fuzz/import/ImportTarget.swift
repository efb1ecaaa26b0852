internal import Catalog
internal import FuzzSupport
internal import Index
internal import Primitives
internal import SQLite
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#endif

private let bench = ImportBench.make()

/// The import: each line is taken or refused with a reason, the counts add up, and what is taken reads back the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzImport(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Fuzz.bytes(data, count)
  guard let bench else { Fuzz.fail("the bench of the import opens") }
  let length = String(decoding: bytes, as: UTF8.self).unicodeScalars.count
  let outcome = Fuzz.timed(length) { bench.dryRun(bytes) }
  guard let outcome else { Fuzz.fail("a dry run never throws") }
  let numbers = Lines.numbersWithText(bytes)
  Fuzz.check(
    outcome.taken + outcome.refused == numbers.count,
    "\(numbers.count) lines, \(outcome.taken) taken and \(outcome.refused) refused")
  check(outcome, lines: numbers)
  guard let services = bench.services(bytes) else { Fuzz.fail("a written file can be read") }
  Fuzz.check(services.count == outcome.taken, "a file gives as many services as memory")
  for service in services { checkReadsBack(service) }
  return 0
}

/// The same, where the package's build renames `main`.
@_cdecl("waypost_fuzz_import_main")
public func fuzzImportMain(
  _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
  Fuzz.drive(count, arguments, fuzzImport)
}

private func check(_ outcome: ImportBench.Outcome, lines: Set<Int>) {
  var refused: Set<Int> = []
  for line in outcome.said {
    let parts = line.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "body", let number = Int(parts[1]) else {
      Fuzz.fail("a refusal names its line: \(line)")
    }
    Fuzz.check(parts[3].count > 1, "a refusal has a reason: \(line)")
    let isOneLine = !line.unicodeScalars.contains { $0.value < 0x20 }
    Fuzz.check(isOneLine, "a refusal is one line of plain text")
    refused.insert(number)
  }
  Fuzz.check(refused.count == outcome.refused, "every refused line is said, and only those")
  Fuzz.check(refused.isSubset(of: lines), "only lines with text are refused")
}

/// What the record would do with it: write the document as text, read it with the parser's own limits.
private func checkReadsBack(_ service: Service) {
  let text = JSON.object(service.document).text
  guard let object = (try? JSON.parse(text))?.object, let again = try? Service.read(object) else {
    Fuzz.fail("a taken service can be read back: \(text)")
  }
  Fuzz.check(JSON.object(again.document).text == text, "it reads back the same: \(text)")
  Fuzz.check(again.offers.count == service.offers.count, "no offer is lost: \(text)")
}

private enum Lines {
  /// The numbers, from 1, of the lines that hold more than blanks.
  static func numbersWithText(_ bytes: [UInt8]) -> Set<Int> {
    var numbers: Set<Int> = []
    let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let text = line.last == 0x0D ? line.dropLast() : line
      if text.contains(where: { $0 != 0x20 && $0 != 0x09 }) { numbers.insert(index + 1) }
    }
    return numbers
  }
}

/// An importer that only reports, and a file for what it reads.
private struct ImportBench: Sendable {
  struct Outcome: Sendable {
    var taken = 0
    var refused = 0
    var said: [String] = []
  }

  private let record: Database
  private let path: String

  static func make() -> ImportBench? {
    guard let folder = Fuzz.temporaryFolder(),
      let record = try? Database(
        path: folder + "/record.db",
        migrations: IndexFiles.migrations.map { Migration(name: $0.name, sql: $0.sql) },
        options: Database.Options(readerCount: 1))
    else { return nil }
    return ImportBench(record: record, path: folder + "/lines.jsonl")
  }

  /// Imports bytes without writing any.
  func dryRun(_ bytes: [UInt8]) -> Outcome? {
    Fuzz.blocking {
      let said = Said()
      var options = Importer.Options()
      options.isDryRun = true
      let importer = Importer(
        database: record, clock: Clock { Timestamp(milliseconds: 1_800_000_000_000) },
        options: options,
        report: { line in said.lines.withLock { $0.append(line) } }, progress: { _ in })
      let report = try await importer.run(lines: bytes, name: "body")
      return Outcome(
        taken: report.taken, refused: report.refused, said: said.lines.withLock { $0 })
    }
  }

  /// The services of the same bytes in a file.
  func services(_ bytes: [UInt8]) -> [Service]? {
    guard let file = fopen(path, "w") else { return nil }
    let count = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, count == bytes.count else { return nil }
    return try? Importer.services(of: path)
  }

  private final class Said: Sendable {
    let lines = Mutex<[String]>([])
  }
}
