import Foundation
import LinearAlgebra
import Primitives

/// The entry: reads the environment and the arguments, runs one command.
@main
enum Main {
  static let version = "0.1.0"

  static func main() async {
    signal(SIGPIPE, SIG_IGN)
    // The record has hashes, e-mails and conversations: what this process makes is its user's alone.
    umask(0o077)
    BLASLibrary.useOneThread()
    let all = CommandLine.arguments.dropFirst()
    guard let name = all.first, name != "--help", name != "help", name != "-h" else {
      Terminal.data(Help.overview)
      exit(all.isEmpty ? Exit.misuse.rawValue : 0)
    }
    guard let command = Command.named(name) else {
      Terminal.words(
        "waypost: there is no command '\(Terminal.safe(name))'; waypost --help lists them")
      exit(Exit.misuse.rawValue)
    }
    let rest = Array(all.dropFirst())
    if rest.contains("--help") || rest.contains("-h") {
      Terminal.data(Help.page(of: command))
      exit(0)
    }
    let status = await run(command, rest)
    exit(status.rawValue)
  }

  private static func run(_ command: Command, _ rest: [String]) async -> Exit {
    do {
      let arguments = try Arguments(
        command: command.name, arguments: rest, environment: ProcessInfo.processInfo.environment)
      return try await command.run(arguments)
    } catch let mistake as Arguments.Mistake {
      Terminal.words("waypost \(command.name): " + Help.words(for: mistake))
      return .misuse
    } catch let refusal as Refusal {
      Terminal.words(
        "waypost \(command.name): \(Terminal.safe(refusal.detail)) (\(refusal.code.rawValue))")
      for field in refusal.fields {
        Terminal.words("  \(field.pointer): \(Terminal.safe(field.reason))")
      }
      return .refused
    } catch {
      Terminal.words("waypost \(command.name): \(error)")
      return .refused
    }
  }
}

/// One command of the tool.
struct Command: Sendable {
  let name: String
  let usage: String
  let summary: String
  let run: @Sendable (Arguments) async throws -> Exit

  static let all: [Command] = [
    Command(
      name: "serve", usage: "serve", summary: "answers search, chat and sessions over HTTP",
      run: ServeCommand.run),
    Command(
      name: "user", usage: "user add --role ROLE --email E", summary: "makes an account",
      run: UserCommand.run),
    Command(
      name: "keys", usage: "keys new|list|revoke|rotate|remove",
      summary: "signing keys and providers' API keys",
      run: KeysCommand.run),
    Command(
      name: "clients", usage: "clients add|list|remove",
      summary: "programs that may ask people to act for them", run: ClientsCommand.run),
    Command(
      name: "ledger", usage: "ledger verify|balance|statement|grant|payout",
      summary: "verifies and reads the ledger, gives tokens, books payouts",
      run: LedgerCommand.run),
    Command(
      name: "import", usage: "import FILE|DIR|-...", summary: "reads services from JSON Lines",
      run: ImportCommand.run),
    Command(
      name: "backup", usage: "backup TO",
      summary: "copies the record into a file, also while it is served",
      run: BackupCommand.run),
    Command(
      name: "restore", usage: "restore FROM",
      summary: "puts a verified backup in the record's place",
      run: RestoreCommand.run),
    Command(
      name: "search", usage: "search WORDS...", summary: "searches the catalog from the terminal",
      run: SearchCommand.run),
    Command(
      name: "export", usage: "export", summary: "writes every service as JSON Lines",
      run: ExportCommand.run),
    Command(
      name: "chat", usage: "chat [WORDS...]", summary: "the conversation in a terminal",
      run: ChatCommand.run),
    Command(
      name: "doctor", usage: "doctor", summary: "checks model, BLAS, SQLite, disk, folder and port",
      run: DoctorCommand.run),
    Command(
      name: "reindex", usage: "reindex [--rollback]",
      summary: "builds a new index generation, or goes back to the one before",
      run: ReindexCommand.run),
    Command(
      name: "eval", usage: "eval --catalog F --queries F --qrels F",
      summary: "measures relevance on judged needs", run: EvalCommand.run),
    Command(
      name: "tune", usage: "tune --from feedback | --queries F --qrels F [--catalog F]",
      summary: "learns ranking from judged needs or feedback, through a gate",
      run: TuneCommand.run),
    Command(
      name: "bench", usage: "bench embed|text|vectors|search|http|index...|ledger|counts",
      summary: "measures speed beside its peers', and counts that repeat", run: BenchCommand.run),
    Command(
      name: "openapi", usage: "openapi [--demo]",
      summary: "prints the API's document (OpenAPI 3.1)",
      run: OpenAPICommand.run),
    Command(
      name: "version", usage: "version", summary: "prints the versions",
      run: { _ in
        Terminal.data("waypost \(Main.version)")
        return .done
      }),
  ]

  static func named(_ name: String) -> Command? { all.first { $0.name == name } }
}

/// The texts of `--help`, made from the table of settings.
enum Help {
  static var overview: String {
    let width = Command.all.map(\.name.count).max() ?? 0
    let lines = Command.all.map {
      "  " + $0.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + $0.summary
    }
    return """
      Waypost finds the right service in a marketplace and starts a metered trial of it.

      usage: waypost COMMAND [ARGUMENTS]

      \(lines.joined(separator: "\n"))

      waypost COMMAND --help tells more of one.
      """
  }

  static func page(of command: Command) -> String {
    let settings = Setting.all.filter { $0.commands.isEmpty || $0.commands.contains(command.name) }
    let lines = settings.map { setting in
      var line = "  --" + setting.flag
      if setting.kind == .secret { line = "  " + (setting.environment ?? "") }
      if setting.kind != .flag, setting.kind != .secret { line += " VALUE" }
      line =
        line.padding(toLength: max(28, line.count + 1), withPad: " ", startingAt: 0) + setting.help
      var notes: [String] = []
      if let name = setting.environment, setting.kind != .secret { notes.append(name) }
      if let fallback = setting.fallback, !fallback.isEmpty { notes.append("default \(fallback)") }
      return notes.isEmpty ? line : line + " (" + notes.joined(separator: ", ") + ")"
    }
    return "usage: waypost \(command.usage)\n\n\(command.summary)\n\n"
      + lines.joined(separator: "\n")
  }

  static func words(for mistake: Arguments.Mistake) -> String {
    switch mistake {
    case .unknownFlag(let flag, let nearest):
      "there is no --\(Terminal.safe(flag))" + (nearest.map { "; perhaps --\($0)" } ?? "")
    case .missingValue(let flag): "--\(flag) needs a value"
    case .badValue(let flag, let value, let expected):
      "--\(flag) is '\(Terminal.safe(value))', but must be \(expected)"
    case .notForCommand(let flag, let command): "--\(flag) is not for \(command)"
    case .secretOnCommandLine(let flag):
      "--\(flag) is a secret: give it as \(Setting.named(flag)?.environment ?? "an environment variable")"
    }
  }
}
