package import Primitives

/// Who sends an event, as far as learning needs to know.
package struct FeedbackCaller: Sendable, Equatable {
  /// What kind of caller it is.
  package enum Kind: Sendable, Equatable {
    /// A signed-in person, by the 16 bytes of the account's id.
    case user([UInt8])
    /// Nobody known, or a program: only a keyed hash of this text and the day is ever stored.
    case visitor(String)
  }

  package let kind: Kind
  /// The provider that the caller acts for; its events on its own services are dropped.
  package let providerID: String?

  package init(_ kind: Kind, providerID: String? = nil) {
    self.kind = kind
    self.providerID = providerID
  }
}

/// What happened to a service of a search answer, from the weakest sign to the strongest.
package enum FeedbackKind: String, Sendable, CaseIterable, Comparable {
  /// The hit was on the screen.
  case shown
  /// Its page was opened.
  case opened
  /// A trial was started.
  case tried
  /// The trial's session was completed.
  case kept

  package static func < (left: FeedbackKind, right: FeedbackKind) -> Bool {
    left.strength < right.strength
  }

  private var strength: Int {
    switch self {
    case .shown: 0
    case .opened: 1
    case .tried: 2
    case .kept: 3
    }
  }
}

/// One event as a client sends it.
package struct FeedbackItem: Sendable, Equatable {
  package let searchID: String
  package let kind: FeedbackKind
  package let serviceID: String
  /// Where the client says that the hit stood, from 1; checked where it is given.
  package let position: Int?

  package init(searchID: String, kind: FeedbackKind, serviceID: String, position: Int? = nil) {
    self.searchID = searchID
    self.kind = kind
    self.serviceID = serviceID
    self.position = position
  }

  /// Reads one element of `events`; `searchID` stands in where it names none.
  /// - Throws: `Refusal` `validation_failed` with pointers relative to the element.
  package static func read(_ json: JSON, searchID: String?) throws(Refusal) -> FeedbackItem {
    var faults: [Refusal.Field] = []
    for key in json.object?.keys ?? []
    where !["searchId", "kind", "serviceId", "position"].contains(key) {
      faults.append(.init("/" + String(key.prefix(64)), "is not known"))
    }
    let search = json["searchId"]?.string ?? searchID
    if search == nil { faults.append(.init("/searchId", "is missing")) }
    let kind = json["kind"]?.string.flatMap(FeedbackKind.init(rawValue:))
    if kind == nil { faults.append(.init("/kind", "must be shown, opened, tried or kept")) }
    let service = json["serviceId"]?.string
    if service == nil { faults.append(.init("/serviceId", "is missing")) }
    let position = json["position"]
    let place = position.flatMap(\.int).flatMap { Int(exactly: $0) }
    if let position, position != .null, place.map({ $0 < 1 }) ?? true {
      faults.append(.init("/position", "must be a whole number from 1"))
    }
    guard faults.isEmpty, let search, let kind, let service else {
      throw Refusal(.validationFailed, "The event is not valid.", fields: faults)
    }
    return FeedbackItem(searchID: search, kind: kind, serviceID: service, position: place)
  }
}

/// What became of one event.
package enum FeedbackOutcome: Sendable, Equatable {
  /// It is stored.
  case recorded
  /// It was stored before; nothing changed.
  case repeated
  /// It is valid and does not count: the reason is a stable word.
  case dropped(DropReason)
  /// It was not accepted.
  case refused(Refusal)

  /// Why a valid event does not count.
  package enum DropReason: String, Sendable {
    /// The caller acts for the service's provider.
    case ownService = "own_service"
    /// The user or the operator said not to learn.
    case learningOff = "learning_off"
  }

  /// The element of `results`.
  package var json: JSONObject {
    switch self {
    case .recorded: return ["status": "recorded"]
    case .repeated: return ["status": "repeated"]
    case .dropped(let reason): return ["status": "dropped", "reason": .string(reason.rawValue)]
    case .refused(let refusal):
      var object: JSONObject = [
        "status": "refused", "code": .string(refusal.code.rawValue),
        "detail": .string(refusal.detail),
      ]
      if !refusal.fields.isEmpty {
        object["errors"] = .array(
          refusal.fields.map {
            ["pointer": .string($0.pointer), "detail": .string($0.reason)]
          })
      }
      return object
    }
  }
}

/// An event as it is stored and learnt from.
package struct FeedbackRecord: Sendable, Equatable {
  /// Who it was.
  package enum Actor: Sendable, Hashable {
    case user([UInt8])
    /// A keyed hash of an address and a day.
    case visitor([UInt8])

    /// Whether it was a signed-in person.
    package var isUser: Bool { if case .user = self { true } else { false } }
    /// The 16 bytes.
    package var bytes: [UInt8] {
      switch self {
      case .user(let bytes), .visitor(let bytes): bytes
      }
    }
  }

  package let searchID: [UInt8]
  package let need: String
  package let serviceID: String
  package let providerID: String
  package let kind: FeedbackKind
  /// Whether the server saw it happen itself; a client's word for a trial counts as an opened card.
  package let isSeenByServer: Bool
  /// Where the hit stood, from 1.
  package let position: Int
  package let actor: Actor
  package let at: Timestamp

  package init(
    searchID: [UInt8], need: String, serviceID: String, providerID: String, kind: FeedbackKind,
    isSeenByServer: Bool, position: Int, actor: Actor, at: Timestamp
  ) {
    self.searchID = searchID
    self.need = need
    self.serviceID = serviceID
    self.providerID = providerID
    self.kind = kind
    self.isSeenByServer = isSeenByServer
    self.position = position
    self.actor = actor
    self.at = at
  }
}
