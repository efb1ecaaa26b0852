package import Primitives
internal import Search

/// The kinds of ids of chat, for `ID`.
package enum ConversationKind: Sendable {}
package enum TurnKind: Sendable {}

/// What a user sends in one turn.
package struct TurnRequest: Sendable {
  /// Exactly one of these.
  package enum Input: Sendable, Equatable {
    case text(String)
    case answer(questionID: String, values: [String])
    case edit([Edit])
  }

  /// One change of the constraint list.
  package struct Edit: Sendable, Equatable {
    package let operation: String
    package let id: String?
    /// A filter expression, for `set`.
    package let filter: String?
  }

  package let clientMessageID: String
  package let conversationID: ID<ConversationKind>?
  package let parentMessageID: String?
  package let seed: Int64?
  package let mode: String
  package let input: Input

  /// Reads the body of `POST /v1/chat/discovery`.
  /// - Throws: `Refusal` `validation_failed`.
  package static func read(_ body: JSON) throws(Refusal) -> TurnRequest {
    var faults: [Refusal.Field] = []
    let known: Set<String> = [
      "clientMessageId", "conversationId", "parentMessageId", "locale", "seed", "mode", "text",
      "answer", "edit",
    ]
    for key in body.object?.keys ?? [] where !known.contains(key) {
      faults.append(.init("/" + key, "is not known"))
    }
    let message = body["clientMessageId"]?.string ?? ""
    if !(1...128).contains(message.utf8.count) {
      faults.append(.init("/clientMessageId", "must be 1 to 128 bytes"))
    }
    var conversation: ID<ConversationKind>?
    if let text = body["conversationId"]?.string {
      conversation = ID(text)
      if conversation == nil { throw Refusal(.notFound, "There is no such conversation.") }
    }
    let mode = body["mode"]?.string ?? "auto"
    if !["auto", "guide", "agent"].contains(mode) {
      faults.append(.init("/mode", "must be auto, guide or agent"))
    }
    let input = input(body, &faults)
    guard faults.isEmpty, let input else {
      throw Refusal(.validationFailed, "The message is not valid.", fields: faults)
    }
    return TurnRequest(
      clientMessageID: message, conversationID: conversation,
      parentMessageID: body["parentMessageId"]?.string, seed: body["seed"]?.int, mode: mode,
      input: input)
  }

  private static func input(_ body: JSON, _ faults: inout [Refusal.Field]) -> Input? {
    let given = ["text", "answer", "edit"].filter { body[$0] != nil && body[$0] != .null }
    guard given.count == 1 else {
      faults.append(.init("/text", "send exactly one of text, answer and edit"))
      return nil
    }
    switch given[0] {
    case "text":
      guard let text = body["text"]?.string, !text.allSatisfy(\.isWhitespace) else {
        faults.append(.init("/text", "must not be empty"))
        return nil
      }
      return .text(text)
    case "answer":
      guard let id = body["answer"]?["questionId"]?.string,
        let values = body["answer"]?["values"]?.array?.compactMap(\.string), !values.isEmpty
      else {
        faults.append(.init("/answer", "must have questionId and values"))
        return nil
      }
      return .answer(questionID: id, values: Array(values.prefix(20)))
    default:
      let edits = (body["edit"]?["ops"]?.array ?? []).compactMap { row -> Edit? in
        guard let operation = row["op"]?.string,
          ["set", "remove", "undo", "reset"].contains(operation)
        else { return nil }
        return Edit(
          operation: operation, id: row["id"]?.string, filter: row["filter"]?.string)
      }
      guard !edits.isEmpty, edits.count <= 20 else {
        faults.append(.init("/edit", "must have 1 to 20 ops: set, remove, undo or reset"))
        return nil
      }
      return .edit(edits)
    }
  }

  /// The input as it is stored with the turn.
  var stored: JSON {
    switch input {
    case .text(let text): ["text": .string(text)]
    case .answer(let id, let values):
      ["answer": ["questionId": .string(id), "values": .strings(values)]]
    case .edit(let edits):
      [
        "edit": .array(
          edits.map {
            ["op": .string($0.operation), "id": .optional($0.id), "filter": .optional($0.filter)]
          })
      ]
    }
  }
}

/// One event of a turn.
package struct TurnEvent: Sendable, Equatable {
  package let seq: Int64
  package let type: String
  package let data: [UInt8]

  /// The event as server-sent-event text; the id is `<conversationId>.<seq>`.
  package func sse(conversation: ID<ConversationKind>) -> [UInt8] {
    Array("id: \(conversation.text).\(seq)\nevent: \(type)\ndata: ".utf8) + data
      + Array("\n\n".utf8)
  }

  /// The event as it is kept: the secret of an anonymous conversation is shown once and never stored.
  var withoutSecret: TurnEvent {
    guard type == "turn.start", var object = (try? JSON.parse(data))?.object,
      object["conversationSecret"] != nil
    else { return self }
    object["conversationSecret"] = nil
    return TurnEvent(seq: seq, type: type, data: JSON.object(object).bytes)
  }

  package var isTerminal: Bool { type == "done" || type == "error" || type == "aborted" }
}
