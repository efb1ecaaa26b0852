internal import Cryptography
package import Primitives
package import SQLite
internal import Synchronization

/// The placements in force, read once and again after each change.
///
/// Every set in force has a version, so that the pages of one walk see one set though the operator changes it
/// or the time of one runs out.
package final class PlacementBook: Sendable {
  /// What one search applies.
  package struct Edition: Sendable, Equatable {
    /// A digest of the placements in force: the same ones have the same version, after a restart too.
    package let version: String
    package let placements: [Placement]

    /// Nothing is placed.
    package static let empty = Edition(version: "", placements: [])
  }

  /// Editions that cursors may still name.
  package static let editionMax = 64

  private struct State {
    var stored: [StoredPlacement]?
    /// Raised by each change, so that a reading that began before it is not kept.
    var change: Int64 = 0
    /// What was in force at the last search, and its edition.
    var last: (active: [StoredPlacement], edition: Edition)?
    var editions: [Edition] = []
  }

  private let state = Mutex(State())

  package init() {}

  /// Forgets what was read: call it after a write.
  package func reload() {
    state.withLock { state in
      state.stored = nil
      state.change += 1
    }
  }

  /// The placements in force at a moment.
  /// - Throws: What the record throws where it has to be read.
  package func edition(at now: Timestamp, from record: Database) async throws -> Edition {
    let (known, change) = state.withLock { ($0.stored, $0.change) }
    let stored: [StoredPlacement]
    if let known {
      stored = known
    } else {
      stored = try await record.read { try PlacementStore.all($0) }
      state.withLock { if $0.change == change { $0.stored = stored } }
    }
    let active = stored.filter { $0.isActive(at: now) }
    guard !active.isEmpty else { return .empty }
    if let last = state.withLock({ $0.last }), last.active == active { return last.edition }
    let digest = Digest.sha256(JSON.array(active.map(\.json)).canonicalBytes).prefix(8)
    let edition = Edition(
      version: BytesText.hex(digest), placements: active.compactMap(\.placement))
    state.withLock { state in
      state.last = (active, edition)
      state.editions.removeAll { $0.version == edition.version }
      state.editions.append(edition)
      if state.editions.count > PlacementBook.editionMax { state.editions.removeFirst() }
    }
    return edition
  }

  /// The edition that a cursor names, or nil where it is no longer known.
  package func edition(version: String) -> Edition? {
    if version.isEmpty { return .empty }
    return state.withLock { $0.editions.first { $0.version == version } }
  }
}
