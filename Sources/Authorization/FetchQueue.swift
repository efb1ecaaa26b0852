/// Whose turn it is to have a document of somebody else's fetched. Anybody can ask for one, and choose a server that
/// is slow to answer: so a host is asked one thing at a time, a caller has two places at most, and some places are
/// kept for clients that people use already. No clock, no I/O.
package struct FetchQueue: Sendable {
  /// Fetches at once.
  package static let runningMax = 8
  /// Of those, places that only clients take whose document was had before.
  package static let keptForKnown = 2
  /// Places of one caller, running and waiting together.
  package static let perCallerMax = 2
  /// Who may wait, in all and for one host.
  package static let waitingMax = 16
  package static let waitingPerHostMax = 4

  /// A place in the queue.
  package struct Ticket: Sendable, Equatable {
    /// Its number, never given twice.
    package let number: Int
    let host: String
    let caller: String
    let isKnown: Bool
  }

  private var running: [Ticket] = []
  private var waiting: [Ticket] = []
  private var count = 0

  /// An empty queue.
  package init() {}

  /// A place for a fetch, and whether it is its turn now; nil where there is no place.
  ///
  /// - Parameters:
  ///   - caller: Who is counted, such as an address.
  ///   - isKnown: Whether the document was had before.
  package mutating func enter(
    host: String, caller: String, isKnown: Bool
  ) -> (ticket: Ticket, goes: Bool)? {
    let own = running.count { $0.caller == caller } + waiting.count { $0.caller == caller }
    // Nobody's fault but the caller's: it must not cost the others a place.
    guard own < FetchQueue.perCallerMax else { return nil }
    let ticket = Ticket(number: count, host: host, caller: caller, isKnown: isKnown)
    if mayGo(ticket) {
      count += 1
      running.append(ticket)
      return (ticket, true)
    }
    guard waiting.count < FetchQueue.waitingMax,
      waiting.count(where: { $0.host == host }) < FetchQueue.waitingPerHostMax
    else { return nil }
    count += 1
    waiting.append(ticket)
    return (ticket, false)
  }

  /// Gives a place back.
  ///
  /// - Returns: Those whose turn it is now, first come first.
  package mutating func leave(_ ticket: Ticket) -> [Ticket] {
    running.removeAll { $0 == ticket }
    var next: [Ticket] = []
    for candidate in waiting where mayGo(candidate) {
      running.append(candidate)
      next.append(candidate)
    }
    waiting.removeAll { next.contains($0) }
    return next
  }

  private func mayGo(_ ticket: Ticket) -> Bool {
    let places = FetchQueue.runningMax - (ticket.isKnown ? 0 : FetchQueue.keptForKnown)
    return running.count < places && !running.contains { $0.host == ticket.host }
  }
}
