internal import CKernels

/// The postings of one form of a query term, for `TextKernel`.
package struct PostingList {
  /// Documents, rising; impacts beside them, above 0. Both outlive the call.
  package let documents: UnsafePointer<UInt32>
  package let impacts: UnsafePointer<Float>
  package let count: Int
  /// A document's score gains `weight * impact`, its share gains `share`. The weight is above 0.
  package let weight: Float
  package let share: Float
  /// Neighbours with one number are forms of one term: a document gains from the best of them only,
  /// and the first one's share once.
  package let term: UInt32

  /// A list over borrowed buffers of `count` elements.
  package init(
    documents: UnsafePointer<UInt32>, impacts: UnsafePointer<Float>, count: Int, weight: Float,
    share: Float, term: UInt32
  ) {
    self.documents = documents
    self.impacts = impacts
    self.count = count
    self.weight = weight
    self.share = share
    self.term = term
  }
}

/// Scores documents from postings and keeps those that belong to the answer.
///
/// Holds 96 KB of working memory and the answer's buffers; one caller at a time.
package final class TextKernel {
  /// The best so many that can be asked for.
  package static let floorMax = Int(SEARCH_FLOOR_MAX)

  /// The documents that belong, rising, with what they gathered.
  package struct Matches: Equatable {
    package let documents: [UInt32]
    package let scores: [Float]
    package let shares: [Float]

    /// Arrays of one length.
    package init(documents: [UInt32] = [], scores: [Float] = [], shares: [Float] = []) {
      self.documents = documents
      self.scores = scores
      self.shares = shares
    }
  }

  // All zero between calls: the kernel clears what it touched.
  private let workspace: UnsafeMutablePointer<search_workspace>
  private var documents: UnsafeMutableBufferPointer<UInt32>
  private var values: UnsafeMutableBufferPointer<Float>

  /// Working memory for one caller.
  package init() {
    workspace = .allocate(capacity: 1)
    UnsafeMutableRawPointer(workspace).initializeMemory(
      as: UInt8.self, repeating: 0, count: MemoryLayout<search_workspace>.size)
    documents = .allocate(capacity: 0)
    values = .allocate(capacity: 0)
  }

  deinit {
    workspace.deallocate()
    documents.deallocate()
    values.deallocate()
  }

  /// Every document with a score whose share reaches `shareLeast`, the best `floor` by score, and those of `also`.
  ///
  /// - Parameters:
  ///   - lists: Forms of one term stand side by side.
  ///   - documentCount: Above every document number.
  ///   - allowed: A bitset of `documentCount` bits, or nil; what it lacks is as if it were not there.
  ///   - also: A bitset like `allowed`, bits past it 0, or nil: its documents belong where they have a score at all.
  ///   - floor: 0...`floorMax`; ties go to the lower document number.
  /// - Complexity: the postings, and one look at every document unless postings are few.
  package func matches(
    _ lists: [PostingList], documentCount: Int, allowed: UnsafePointer<UInt64>?,
    also: UnsafePointer<UInt64>? = nil, shareLeast: Float, floor: Int
  ) -> Matches {
    precondition((0...Self.floorMax).contains(floor), "a floor of \(floor)")
    let capacity = min(documentCount, lists.reduce(0) { $0 + $1.count })
    grow(to: capacity)
    guard capacity > 0, let documents = documents.baseAddress, let values = values.baseAddress
    else { return Matches() }
    var raw = lists.map {
      search_postings(
        docs: $0.documents, impacts: $0.impacts, count: $0.count, weight: $0.weight,
        share: $0.share, term: $0.term, position: 0)
    }
    var criteria = search_criteria(
      allowed: allowed, also: also, share_least: shareLeast, floor: floor)
    var found = search_matches(
      docs: documents, scores: values, shares: values + capacity, capacity: capacity, count: 0)
    let status = search_text(&raw, raw.count, documentCount, &criteria, workspace, &found)
    precondition(status == 0, "room for \(capacity) documents was too little")
    return Matches(
      documents: Array(UnsafeBufferPointer(start: documents, count: found.count)),
      scores: Array(UnsafeBufferPointer(start: values, count: found.count)),
      shares: Array(UnsafeBufferPointer(start: values + capacity, count: found.count)))
  }

  private func grow(to capacity: Int) {
    guard documents.count < capacity else { return }
    documents.deallocate()
    values.deallocate()
    documents = .allocate(capacity: capacity)
    values = .allocate(capacity: 2 * capacity)
  }
}

@available(*, unavailable)
extension TextKernel: Sendable {}
