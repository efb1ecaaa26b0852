import Primitives
import Search

/// The settings of one run: flag, then environment, then default. Read once.
struct Arguments: Sendable {
  let command: String
  /// What is no flag, in order.
  let words: [String]
  private let values: [String: String]

  enum Mistake: Error, Equatable {
    case unknownFlag(String, nearest: String?)
    case missingValue(String)
    case badValue(flag: String, value: String, expected: String)
    case notForCommand(flag: String, command: String)
    case secretOnCommandLine(String)
  }

  init(command: String, arguments: [String], environment: [String: String]) throws(Mistake) {
    self.command = command
    var (values, words) = try Arguments.read(arguments, of: command)
    for setting in Setting.all where values[setting.flag] == nil {
      if let name = setting.environment, let value = environment[name], !value.isEmpty {
        values[setting.flag] = value
      }
    }
    for (flag, value) in values {
      if case .integer(let range)? = Setting.named(flag)?.kind {
        guard let number = Int(value), range.contains(number) else {
          throw .badValue(
            flag: flag, value: value,
            expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
      }
    }
    self.values = values
    self.words = words
  }

  /// The flags of a command line with their values, and what is no flag.
  private static func read(
    _ arguments: [String], of command: String
  ) throws(Mistake) -> (values: [String: String], words: [String]) {
    var values: [String: String] = [:]
    var words: [String] = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--"), argument != "--" else {
        words.append(argument)
        continue
      }
      let halves = argument.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
      let setting = try allowed(halves.first ?? "", for: command)
      let name = setting.flag
      if setting.kind == .flag {
        let value = halves.count == 2 ? halves[1] : "true"
        guard (on + off).contains(value) else {
          throw .badValue(flag: name, value: value, expected: "true or false")
        }
        values[name] = value
      } else {
        guard let value = halves.count == 2 ? halves[1] : rest.popFirst() else {
          throw .missingValue(name)
        }
        // A list keeps every value, a line each; of anything else the last one counts.
        let earlier = setting.kind == .list ? values[name].map { $0 + "\n" } ?? "" : ""
        values[name] = earlier + value
      }
    }
    return (values, words)
  }

  /// The setting of a flag that stands on the command's line.
  private static func allowed(
    _ name: String, for command: String
  ) throws(Mistake) -> Setting {
    guard let setting = Setting.named(name) else {
      throw .unknownFlag(name, nearest: nearest(name, for: command))
    }
    guard setting.commands.isEmpty || setting.commands.contains(command) else {
      throw .notForCommand(flag: name, command: command)
    }
    if setting.kind == .secret { throw .secretOnCommandLine(name) }
    return setting
  }

  func text(_ flag: String) -> String? { values[flag] ?? Setting.named(flag)?.fallback }
  /// Every value of a setting that may be repeated.
  func list(_ flag: String) -> [String] {
    (values[flag] ?? "").split(separator: "\n").map(String.init)
  }

  /// A value that must be one of a few words.
  func choice(_ flag: String, of words: [String]) throws(Mistake) -> String {
    let value = text(flag) ?? ""
    guard words.contains(value) else {
      throw .badValue(flag: flag, value: value, expected: words.joined(separator: " or "))
    }
    return value
  }

  func integer(_ flag: String) -> Int { text(flag).flatMap { Int($0) } ?? 0 }

  /// Whether a value was given; for a switch, whether it is on.
  func isSet(_ flag: String) -> Bool {
    guard let value = values[flag] else { return false }
    return Setting.named(flag)?.kind != .flag || !Arguments.off.contains(value)
  }

  private static let on = ["1", "true", "yes"]
  private static let off = ["0", "false", "no"]

  private static func nearest(_ name: String, for command: String) -> String? {
    let own = Setting.all.filter {
      $0.kind != .secret && ($0.commands.isEmpty || $0.commands.contains(command))
    }
    return Spelling.nearest(to: name, in: own.map(\.flag))
  }
}
