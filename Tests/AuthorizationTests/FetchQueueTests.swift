import Authorization
import Testing

/// 1. A caller has two places. 2. A host is asked one thing at a time. 3. Two places are kept for what is known.
/// 4. Who waits goes first come first. 5. A refusal takes nobody's place.
@Suite("Whose turn a fetch is")
struct FetchQueueTests {
  @Test("a caller has two places, running or waiting, and gets them back")
  func callers() throws {
    let queue = Door()
    let first = try #require(queue.enter(host: "a", caller: "x", isKnown: false))
    let second = try #require(queue.enter(host: "a", caller: "x", isKnown: false))
    #expect(first.goes && !second.goes)
    #expect(queue.enter(host: "b", caller: "x", isKnown: false) == nil)
    #expect(queue.enter(host: "b", caller: "y", isKnown: false)?.goes == true)
    #expect(queue.leave(first.ticket) == [second.ticket])
    #expect(queue.enter(host: "c", caller: "x", isKnown: false)?.goes == true)
  }

  @Test("a host is asked one thing at a time, and four may wait for it")
  func hosts() throws {
    let queue = Door()
    let first = try #require(queue.enter(host: "a", caller: "0", isKnown: false))
    var waiting: [FetchQueue.Ticket] = []
    for index in 1...FetchQueue.waitingPerHostMax {
      let next = try #require(queue.enter(host: "a", caller: "\(index)", isKnown: false))
      #expect(!next.goes)
      waiting.append(next.ticket)
    }
    #expect(queue.enter(host: "a", caller: "9", isKnown: true) == nil)
    var running = first.ticket
    for ticket in waiting {
      #expect(queue.leave(running) == [ticket])
      running = ticket
    }
    #expect(queue.leave(running).isEmpty)
  }

  @Test("two of eight places are kept for clients that were known before")
  func known() throws {
    let queue = Door()
    let new = FetchQueue.runningMax - FetchQueue.keptForKnown
    for index in 0..<new {
      #expect(queue.enter(host: "\(index)", caller: "\(index)", isKnown: false)?.goes == true)
    }
    #expect(queue.enter(host: "n", caller: "n", isKnown: false)?.goes == false)
    for index in 0..<FetchQueue.keptForKnown {
      #expect(queue.enter(host: "k\(index)", caller: "k\(index)", isKnown: true)?.goes == true)
    }
    #expect(queue.enter(host: "k", caller: "k", isKnown: true)?.goes == false)
  }

  @Test("sixteen wait at most, and go in the order they came")
  func waiting() throws {
    let queue = Door()
    var running: [FetchQueue.Ticket] = []
    for index in 0..<FetchQueue.runningMax {
      running.append(
        try #require(queue.enter(host: "r\(index)", caller: "r\(index)", isKnown: true)).ticket)
    }
    var waiting: [FetchQueue.Ticket] = []
    for index in 0..<FetchQueue.waitingMax {
      waiting.append(
        try #require(queue.enter(host: "w\(index)", caller: "w\(index)", isKnown: true)).ticket)
    }
    #expect(queue.enter(host: "z", caller: "z", isKnown: true) == nil)
    var order: [FetchQueue.Ticket] = []
    while !running.isEmpty {
      let next = queue.leave(running.removeFirst())
      order += next
      running += next
    }
    #expect(order == waiting)
    #expect(queue.enter(host: "z", caller: "z", isKnown: false)?.goes == true)
  }
}

/// A queue to ask from within an expectation.
private final class Door {
  private var queue = FetchQueue()

  func enter(
    host: String, caller: String, isKnown: Bool
  ) -> (ticket: FetchQueue.Ticket, goes: Bool)? {
    queue.enter(host: host, caller: caller, isKnown: isKnown)
  }

  func leave(_ ticket: FetchQueue.Ticket) -> [FetchQueue.Ticket] { queue.leave(ticket) }
}
