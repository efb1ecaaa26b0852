import Foundation
import HTTPClient
import Identity
import Primitives

/// What the settings say of accounts: common passwords, and how e-mail goes out.
enum IdentitySettings {
  static let listByteCountMax = 64 * 1_048_576
  /// Debian's cracklib-runtime brings it; where it is there, it is used without being asked for.
  static let systemList = "/usr/share/dict/cracklib-small"

  static func accounts(
    _ arguments: Arguments, _ folder: DataFolder, _ keys: KeyRing, _ logins: RevokedLogins,
    _ publicURL: String, _ log: @escaping @Sendable (String) -> Void
  ) throws -> Accounts {
    Accounts(
      database: folder.record, clock: DataFolder.clock, random: .system, keys: keys,
      issuer: publicURL, passwords: try passwords(arguments), logins: logins,
      mail: try mail(arguments, DataFolder.clock, .system, log))
  }

  /// The operator's list, or the system's, or the hundred that we know.
  /// - Throws: `Refusal` where the operator's file cannot be read.
  static func passwords(_ arguments: Arguments) throws -> PasswordList {
    guard let path = arguments.text("password-list"), !path.isEmpty else {
      return try list(at: systemList) ?? .common
    }
    guard let list = try list(at: path) else {
      throw Refusal(.validationFailed, "--password-list cannot be read: \(path)")
    }
    return list
  }

  private static func list(at path: String) throws -> PasswordList? {
    guard FileManager.default.isReadableFile(atPath: path) else { return nil }
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    guard size <= listByteCountMax, let data = FileManager.default.contents(atPath: path) else {
      throw Refusal(.validationFailed, "The list of passwords may have 64 MB: \(path)")
    }
    return PasswordList(text: String(decoding: data, as: UTF8.self))
  }

  /// How e-mail is sent, or nil where nothing is said of it.
  /// - Throws: `Refusal` where half of it is said.
  static func mail(
    _ arguments: Arguments, _ clock: Clock, _ random: RandomSource,
    _ log: @escaping @Sendable (String) -> Void
  ) throws -> MailDesk? {
    guard let url = arguments.text("smtp-url"), !url.isEmpty else { return nil }
    guard url.hasPrefix("smtp://") || url.hasPrefix("smtps://") else {
      throw Refusal(.validationFailed, "--smtp-url must begin with smtp:// or smtps://.")
    }
    guard let sender = arguments.text("smtp-from"), sender.contains("@"),
      sender.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3C && $0 != 0x3E })
    else {
      throw Refusal(.validationFailed, "--smtp-from must be the address that e-mails come from.")
    }
    let security = try arguments.choice("smtp-tls", of: ["starttls", "none"])
    let password = arguments.text("smtp-password")
    // A password must never go out in clear but to this machine itself.
    let isLocal = ["127.0.0.1", "localhost", "[::1]"].contains { host in
      url.hasPrefix("smtp://" + host + ":") || url == "smtp://" + host
    }
    guard security == "starttls" || url.hasPrefix("smtps://") || isLocal || password == nil else {
      throw Refusal(
        .validationFailed, "--smtp-tls none with a password is for a server on this machine only.")
    }
    let server = MailServer(
      url: url, user: arguments.text("smtp-user"), password: password,
      needsTLS: security == "starttls")
    return MailDesk(server: server, sender: sender, clock: clock, random: random, log: log)
  }
}
