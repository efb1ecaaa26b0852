public import Primitives
public import SQLite

#if canImport(Glibc)
  internal import Glibc
#endif

/// What an import did.
public struct ImportReport: Sendable {
  /// New services.
  public var created = 0
  /// Services with another content than before.
  public var changed = 0
  /// Services that were there already, the same.
  public var same = 0
  /// Lines refused; each was reported.
  public var refused = 0
  /// The catalog's revision at the end.
  public var revision: Int64 = 0

  /// An empty report.
  public init() {}

  /// Lines taken.
  public var taken: Int { created + changed + same }

  /// The counts in stable words.
  public var detail: String {
    "created=\(created) changed=\(changed) same=\(same) refused=\(refused)"
  }

  /// The report for programs.
  public var json: JSON {
    [
      "created": .number(created), "changed": .number(changed), "same": .number(same),
      "refused": .number(refused), "revision": .int(revision),
    ]
  }
}

/// Reads JSON Lines into the record: streaming, in batches, every refused line said with its reason.
public struct Importer: Sendable {
  /// How an import goes.
  public struct Options: Sendable {
    /// Everything or nothing.
    public var isAtomic = false
    /// Only reports.
    public var isDryRun = false
    /// Lines in one transaction: about 10 ms, so that no other write waits long.
    public var batchCount = 64
    /// Runs in the transaction of the last batch with the report; and, where there is more than one batch, in that
    /// of the first with nil: so that what was begun and did not end can be told.
    public var note: (@Sendable (ImportReport?, Connection) throws -> Void)?

    /// The defaults.
    public init() {}
  }

  /// A line that was read, and where.
  private struct Parsed: Sendable {
    let service: Service
    let place: String
  }

  private let database: Database
  private let clock: Clock
  private let options: Options
  private let report: @Sendable (String) -> Void
  private let progress: @Sendable (Int) -> Void

  /// An importer.
  ///
  /// - Parameters:
  ///   - report: Gets `file:line: field: reason` for each refused line.
  ///   - progress: Gets the count of lines read, after each batch.
  public init(
    database: Database, clock: Clock, options: Options,
    report: @escaping @Sendable (String) -> Void, progress: @escaping @Sendable (Int) -> Void
  ) {
    self.database = database
    self.clock = clock
    self.options = options
    self.report = report
    self.progress = progress
  }

  /// Imports files, folders (every `.jsonl` inside, by name) or `-`.
  ///
  /// - Throws: `Refusal` `validation_failed` where a path cannot be read, or with `isAtomic` where a
  ///   line was refused; then nothing was written.
  public func run(_ paths: [String]) async throws -> ImportReport {
    let files = try paths.flatMap(Importer.files(of:))
    if options.isAtomic || options.isDryRun {
      let services = try collect(files)
      if options.isDryRun { return services.report }
      guard services.report.refused == 0 else {
        throw Refusal(
          .validationFailed, "\(services.report.refused) lines were refused; nothing was imported.")
      }
      return try await write(services.services, onto: services.report)
    }
    var total = ImportReport()
    var isFirst = true
    for (index, file) in files.enumerated() {
      guard var reader = LineReader(path: file) else { throw Importer.unreadable(file) }
      var batch: [Parsed] = []
      var number = 0
      while let line = reader.next() {
        number += 1
        if let service = parse(line, file: file, number: number, refused: &total.refused) {
          batch.append(service)
        }
        if batch.count == options.batchCount {
          total = try await write(batch, onto: total, isFirst: isFirst, isLast: false)
          isFirst = false
          batch.removeAll(keepingCapacity: true)
          progress(total.taken + total.refused)
        }
      }
      total = try await write(
        batch, onto: total, isFirst: isFirst, isLast: index == files.count - 1)
      isFirst = isFirst && batch.isEmpty
      progress(total.taken + total.refused)
    }
    return total
  }

  /// Imports lines that are in memory already, as the API does. Where its task is cancelled it ends between
  /// batches, but for an atomic one.
  public func run(lines: [UInt8], name: String) async throws -> ImportReport {
    var total = ImportReport()
    let services = lines.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
      .compactMap { index, line in
        parse(
          (
            Array(line.last == 0x0D ? line.dropLast() : line),
            line.count > LineReader.lineByteCountMax
          ), file: name, number: index + 1,
          refused: &total.refused)
      }
    if options.isAtomic, total.refused > 0 {
      throw Refusal(.validationFailed, "\(total.refused) lines were refused; nothing was imported.")
    }
    if options.isDryRun {
      total.same = services.count
      return total
    }
    if options.isAtomic { return try await write(services, onto: total) }
    for start in stride(from: 0, to: services.count, by: options.batchCount) {
      // Whole batches stay: the client has left, or the server ends.
      try Task.checkCancellation()
      let end = min(start + options.batchCount, services.count)
      total = try await write(
        Array(services[start..<end]), onto: total, isFirst: start == 0,
        isLast: end == services.count)
    }
    return total
  }

  /// Every valid service of a file or folder, in memory; lines that are not are left out.
  package static func services(of path: String) throws -> [Service] {
    var services: [Service] = []
    for file in try files(of: path) {
      guard var reader = LineReader(path: file) else { throw unreadable(file) }
      while let line = reader.next() {
        if !line.isTooLong, let service = try? service(from: line.bytes) {
          services.append(service)
        }
      }
    }
    return services
  }

  private func collect(_ files: [String]) throws -> (services: [Parsed], report: ImportReport) {
    var total = ImportReport()
    var services: [Parsed] = []
    for file in files {
      guard var reader = LineReader(path: file) else { throw Importer.unreadable(file) }
      var number = 0
      while let line = reader.next() {
        number += 1
        if let service = parse(line, file: file, number: number, refused: &total.refused) {
          if options.isDryRun { total.same += 1 } else { services.append(service) }
        }
      }
    }
    return (services, total)
  }

  private func write(
    _ batch: [Parsed], onto report: ImportReport, isFirst: Bool = true, isLast: Bool = true
  ) async throws -> ImportReport {
    // Nothing is left, but what came before has not been noted to its end.
    let isEnd = isLast && !isFirst
    guard !batch.isEmpty || isEnd else { return report }
    let now = clock.now
    // Told after the commit: a write that is undone and run again must not tell twice.
    let (written, refusals) = try await database.write { connection in
      if isFirst, !isLast { try options.note?(nil, connection) }
      var report = report
      var refusals: [String] = []
      for parsed in batch {
        guard let outcome = try put(parsed, at: now, &refusals, on: connection) else {
          report.refused += 1
          continue
        }
        switch outcome {
        case .created: report.created += 1
        case .changed: report.changed += 1
        case .same: report.same += 1
        }
      }
      report.revision = try CatalogStore.revision(connection)
      if isLast { try options.note?(report, connection) }
      return (report, refusals)
    }
    refusals.forEach(self.report)
    return written
  }

  /// A listing of another provider is refused alone; with `isAtomic` it undoes everything.
  private func put(
    _ parsed: Parsed, at now: Timestamp, _ refusals: inout [String], on connection: Connection
  ) throws -> CatalogStore.Outcome? {
    do {
      return try CatalogStore.put(parsed.service, at: now, on: connection)
    } catch let refusal as Refusal where refusal.code == .forbidden && !options.isAtomic {
      refusals.append("\(parsed.place): providerId: \(refusal.detail)")
      return nil
    }
  }

  private func parse(
    _ line: (bytes: [UInt8], isTooLong: Bool), file: String, number: Int, refused: inout Int
  ) -> Parsed? {
    if line.bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }), !line.isTooLong { return nil }
    func refuse(_ field: String, _ reason: String) {
      report("\(file):\(number): \(field): \(reason)")
    }
    do {
      guard !line.isTooLong else {
        throw Refusal(.validationFailed, "", fields: [.init("/line", "is over 1048576 bytes")])
      }
      return Parsed(service: try Importer.service(from: line.bytes), place: "\(file):\(number)")
    } catch let error as Refusal {
      for fault in error.fields { refuse(String(fault.pointer.dropFirst()), fault.reason) }
    } catch let error as JSONError {
      refuse("line", "no JSON: \(error.reason.rawValue) at byte \(error.offset)")
    } catch {
      refuse("line", "cannot be read")
    }
    refused += 1
    return nil
  }

  /// One line as a service, of our own shape or of the public catalogs'.
  static func service(from bytes: [UInt8]) throws -> Service {
    guard let row = try JSON.parse(bytes).object else {
      throw Refusal(.validationFailed, "", fields: [.init("/line", "must be a JSON object")])
    }
    let shaped = LineText.onOneLine(SourceShape.matches(row) ? SourceShape.convert(row) : row)
    do {
      return try Service.read(shaped)
    } catch {
      throw Refusal(
        error.code, error.detail,
        fields: error.fields.map { fault in
          Refusal.Field(fault.pointer, fault.reason + Importer.value(of: fault.pointer, in: shaped))
        })
    }
  }

  /// The refused value, cut to 80 characters, for the person who has to find it.
  private static func value(of pointer: String, in row: JSONObject) -> String {
    let name = String(pointer.dropFirst().split(separator: "/").first ?? "")
    guard let value = row[name] else { return "" }
    let text = value.text.unicodeScalars.prefix(80).map {
      LineText.isForbidden($0) ? " " : String($0)
    }
    return ", got " + text.joined()
  }

  /// Every file that paths name: folders give their `.jsonl` files by name.
  package static func files(of paths: [String]) throws -> [String] {
    try paths.flatMap(files(of:))
  }

  private static func files(of path: String) throws -> [String] {
    guard path != "-" else { return [path] }
    guard let directory = opendir(path) else { return [path] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".jsonl"), !name.hasPrefix("metrics-") { names.append(name) }
    }
    return names.sorted().map { path + (path.hasSuffix("/") ? "" : "/") + $0 }
  }

  private static func unreadable(_ file: String) -> Refusal {
    Refusal(.validationFailed, "\(file) cannot be read.")
  }
}
