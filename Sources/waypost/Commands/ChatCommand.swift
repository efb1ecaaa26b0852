import API
import Chat
import Foundation
import HTTPClient
import Ledger
import Primitives

/// `waypost chat`: the same conversation in a terminal, through a running server or on the folder itself.
enum ChatCommand {
  @Sendable static func run(_ arguments: Arguments) async throws -> Exit {
    var printer = TurnPrinter(isJSON: arguments.isSet("json"))
    let first = arguments.words.joined(separator: " ")
    let talk: any Talk
    if let link = ServerLink(arguments) {
      talk = RemoteTalk(link: link)
    } else {
      talk = try await LocalTalk(arguments)
    }
    if !first.isEmpty {
      try await talk.say(first) { printer.show($0, $1) }
      return printer.exit
    }
    Terminal.words("Say what you need; an empty line or Ctrl-D ends.")
    while true {
      Terminal.words(">")
      guard let line = readLine(), !line.isEmpty else { return .done }
      try await talk.say(line) { printer.show($0, $1) }
    }
  }
}

/// A conversation, wherever it runs.
private protocol Talk {
  func say(_ text: String, _ show: (_ type: String, _ data: JSON) -> Void) async throws
}

/// Through a server.
private final class RemoteTalk: Talk {
  private let link: ServerLink
  private var conversation: String?
  private var secret: String?
  private var count = 0

  init(link: ServerLink) { self.link = link }

  func say(_ text: String, _ show: (String, JSON) -> Void) async throws {
    count += 1
    var body: JSONObject = [
      "clientMessageId": .string("t\(count)-\(UUID().uuidString)"), "text": .string(text),
    ]
    if let conversation { body["conversationId"] = .string(conversation) }
    let headers = secret.map { [(name: "Waypost-Conversation", value: $0)] } ?? []
    var parser = SSEParser()
    var status = 0
    for try await part in link.post("/v1/chat/discovery", JSON.object(body).bytes, headers: headers)
    {
      switch part {
      case .status(let code): status = code
      case .bytes(let bytes):
        guard status == 200 else {
          let problem = try? JSON.parse(bytes)
          throw Refusal(.internal, problem?["detail"]?.string ?? "status \(status)")
        }
        for event in parser.take(bytes) {
          let data = (try? JSON.parse(event.data)) ?? [:]
          if event.name == "turn.start" {
            conversation = data["conversationId"]?.string
            secret = data["conversationSecret"]?.string ?? secret
          }
          show(event.name, data)
        }
      }
    }
  }
}

/// On the data folder itself.
private final class LocalTalk: Talk {
  private let folder: DataFolder
  private let chat: ChatDesk
  private var conversation: ID<ConversationKind>?
  private var secret: String?
  private var count = 0

  init(_ arguments: Arguments) async throws {
    folder = try DataFolder(arguments.text("data") ?? "./data")
    let (encoder, hint) = DataFolder.encoder(home: arguments.text("home") ?? ".waypost")
    if let hint { Terminal.words(hint) }
    let services = try await LiveServices.build(
      arguments, folder, encoder, "http://127.0.0.1:0")
    chat = services.chat
    try await services.ledger.openInTerminal()
  }

  func say(_ text: String, _ show: (String, JSON) -> Void) async throws {
    count += 1
    var body: JSONObject = [
      "clientMessageId": .string("t\(count)-\(UUID().uuidString)"), "text": .string(text),
    ]
    if let conversation { body["conversationId"] = .string(conversation.text) }
    let live = try await chat.start(try TurnRequest.read(.object(body)), user: nil, secret: secret)
    conversation = live.conversationID
    secret = live.secret ?? secret
    for await event in live.events(after: 0) {
      show(event.type, (try? JSON.parse(event.data)) ?? [:])
    }
  }
}

/// Prints the events of a turn for people, or each as a line of JSON.
private struct TurnPrinter {
  let isJSON: Bool
  private(set) var exit = Exit.done

  init(isJSON: Bool) { self.isJSON = isJSON }

  mutating func show(_ type: String, _ data: JSON) {
    if isJSON { Terminal.data(JSON.object(["event": .string(type), "data": data]).text) }
    switch type {
    case "done" where data["finish"] == "no_match": exit = .refused
    case "error": exit = .refused
    default: break
    }
    if !isJSON { words(type, data) }
  }

  private func words(_ type: String, _ data: JSON) {
    func text(_ key: String) -> String { Terminal.safe(data[key]?.string ?? "") }
    switch type {
    case "text.delta", "error": Terminal.data(text(type == "error" ? "title" : "text"))
    case "card":
      let provider = Terminal.safe(data["provider"]?["name"]?.string ?? "")
      Terminal.data(
        "  \(data["rank"]?.text ?? ""). \(text("name")) (\(provider)), \(text("price"))")
      for reason in data["why"]?.array ?? [] {
        Terminal.data("     " + Terminal.safe(reason["text"]?.string ?? ""))
      }
      for caveat in data["caveats"]?.array ?? [] {
        Terminal.data("     - " + Terminal.safe(caveat.string ?? ""))
      }
    case "question":
      let options = (data["options"]?.array ?? []).compactMap { $0["label"]?.string }
      Terminal.data(text("text") + " [" + Terminal.safe(options.joined(separator: " | ")) + "]")
    default: break
    }
  }
}
