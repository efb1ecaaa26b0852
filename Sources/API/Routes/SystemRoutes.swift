internal import Catalog
internal import Cryptography
internal import HTTPServer
internal import Identity
internal import Ledger
internal import Primitives
internal import SQLite
internal import Search
internal import Delivery

/// What operators and other servers ask.
struct SystemRoutes: Sendable {
  let services: Services
  let metrics: Metrics

  func health(_ context: Context) async throws -> Response { .json(["status": "ok"]) }

  /// Ready once the snapshot is loaded and the record answers; whether writes are taken too is a field of its own.
  func ready(_ context: Context) async throws -> Response {
    let revision = try await services.record.read { try CatalogStore.revision($0) }
    let snapshot = services.indexer.index.snapshot
    let refused = refusedWrites
    var body: JSONObject = [
      "status": "ready", "revision": .int(revision), "asOf": .int(snapshot.revision),
      "services": .number(snapshot.liveCount), "vectors": .bool(snapshot.hasVectors),
      "version": .string(services.configuration.version),
      "writable": .bool(refused == nil),
    ]
    if let refused { body["reason"] = .string(refused) }
    return .json(.object(body))
  }

  /// Why writes answer 503, in a word; nil where they are taken. Anybody may ask: no details.
  private var refusedWrites: String? {
    guard services.record.figures.isSound else { return "write_failed" }
    return switch services.ledger.state {
    case .verifying: "ledger_verifying"
    case .unsound: "ledger_unsound"
    case .open: nil
    }
  }

  func metrics(_ context: Context) async throws -> Response {
    let revision = try await services.record.read { try CatalogStore.revision($0) }
    let snapshot = services.indexer.index.snapshot
    let webhooks = try await services.webhooks.figures()
    let notices = try await services.webhooks.noticeFigures()
    let text = metrics.text(gauges: [
      ("waypost_catalog_revision", "Newest revision of the record.", revision),
      ("waypost_index_revision", "Revision that searches see.", snapshot.revision),
      ("waypost_services", "Services that searches see.", Int64(snapshot.liveCount)),
      (
        "waypost_vectors_complete", "1 where every service has a vector.",
        snapshot.hasVectors ? 1 : 0
      ),
      (
        "waypost_audit_sound", "1 where the last verification of the audit log found nothing.",
        services.audit.report?.isSound == false ? 0 : 1
      ),
      (
        "waypost_audit_rows", "The audit log's newest row when it was verified last.",
        services.audit.report?.sequence ?? 0
      ),
      ("waypost_webhooks_pending", "Deliveries that wait.", webhooks.pending),
      ("waypost_webhooks_failing", "Webhooks whose last attempt failed.", webhooks.failing),
      ("waypost_notice_mails_pending", "Owners' notices that wait by e-mail.", notices.pending),
      (
        "waypost_notice_mails_given_up",
        "Owners' notices of the last 90 days whose e-mails were given up.", notices.givenUp
      ),
      (
        "waypost_notice_mails_above_bound",
        "Owners' notices since the start that went by no e-mail: more than ten in an hour.",
        notices.aboveBound
      ),
      (
        "waypost_event_streams", "Open streams of users.",
        Int64(services.webhooks.userEvents.count)
      ),
    ])
    return Response(
      status: 200,
      headers: [(name: "Content-Type", value: "text/plain; version=0.0.4; charset=utf-8")],
      body: .bytes(Array((text + Metrics.text(of: storage() + ledger())).utf8)))
  }

  /// Whether the ledger lets writes in (specification core, D5).
  private func ledger() -> [(name: String, help: String, value: Int64)] {
    let state = services.ledger.state
    var isUnsound = false
    if case .unsound = state { isUnsound = true }
    return [
      (
        "waypost_ledger_sound",
        "0 from the moment that the ledger was found unsound until an operator opens it.",
        isUnsound ? 0 : 1
      ),
      (
        "waypost_ledger_open",
        "1 where the ledger lets writes in; 0 while the start verifies it, or it is not sound.",
        state == .open ? 1 : 0
      ),
      (
        "waypost_ledger_opened_after_milliseconds",
        "How long after the start writes were refused; 0 while they still are.",
        services.ledger.openedAfterMilliseconds ?? 0
      ),
      (
        "waypost_ledger_wrong_marks",
        "Wrong marks of accounts' histories found since the start; all were written again.",
        services.ledger.wrongMarkCount
      ),
    ]
  }

  /// What the record's files and connections do (specification core, D6 and D9).
  private func storage() -> [(name: String, help: String, value: Int64)] {
    let figures = services.record.figures
    return [
      ("waypost_wal_bytes", "Size of the record's write-ahead log.", figures.logByteCount),
      ("waypost_record_writes", "Writes committed since the start.", figures.writes),
      (
        "waypost_record_commits", "Commits, each of one or more writes that waited together.",
        figures.commits
      ),
      (
        "waypost_read_longest_microseconds", "Longest read transaction since the start.",
        figures.longestReadMicroseconds
      ),
      (
        "waypost_read_running_microseconds", "Age of the oldest read transaction that runs now.",
        figures.runningReadMicroseconds
      ),
      (
        "waypost_record_writable",
        "0 where writes are refused: a write to the disk has failed, or the ledger is not open.",
        figures.isWritable ? 1 : 0
      ),
    ]
  }

  func jwks(_ context: Context) async throws -> Response {
    let body = services.keys.jwks(at: services.clock.now).bytes
    let tag = "\"" + BytesText.hex(Digest.sha256(body).prefix(16)) + "\""
    let headers = [
      (name: "Cache-Control", value: "public, max-age=\(KeyRing.maxAgeSeconds)"),
      (name: "ETag", value: tag),
    ]
    let known = context.request.header("if-none-match") ?? ""
    let tags = known.split(separator: ",").map { $0.drop { $0 == " " } }
    if known == "*" || tags.contains(where: { $0 == tag || $0 == "W/" + tag }) {
      return Response(status: 304, headers: headers)
    }
    return Response(
      status: 200, headers: headers + [(name: "Content-Type", value: "application/jwk-set+json")],
      body: .bytes(body))
  }
}
