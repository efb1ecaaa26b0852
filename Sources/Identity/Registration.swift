internal import Primitives

/// What somebody sends to get an account.
public struct Registration: Sendable {
  /// The e-mail, in lower case.
  public let email: String
  /// The password as it was typed.
  public let password: String
  /// The name, or nil.
  public let name: String?
  var role = Role.user
  var providerID: String?

  /// A person's form.
  public init(email: String, password: String, name: String?) {
    self.email = email.lowercased()
    self.password = password
    self.name = name
  }

  /// - Throws: `Refusal` `validation_failed` with every field at fault.
  func check(against list: PasswordList) throws(Refusal) {
    var faults: [Refusal.Field] = []
    if !Registration.isEmail(email) { faults.append(.init("/email", "must be an e-mail address")) }
    if let fault = Registration.fault(of: password, email: email, list: list) {
      faults.append(.init("/password", fault))
    }
    if let name, name.unicodeScalars.count > 200 {
      faults.append(.init("/name", "must have at most 200 characters"))
    }
    guard faults.isEmpty else {
      throw Refusal(.validationFailed, "The account is not valid.", fields: faults)
    }
  }

  static func isEmail(_ text: String) -> Bool {
    let sides = text.split(separator: "@", omittingEmptySubsequences: false)
    return sides.count == 2 && !sides[0].isEmpty && sides[1].contains(".")
      && text.utf8.count <= 254
      && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x3C && $0 != 0x3E }
  }

  /// Why a password may not be chosen, or nil. There are no rules of composition (NIST SP 800-63B).
  static func fault(of password: String, email: String, list: PasswordList) -> String? {
    let email = email.lowercased()
    let local = email.split(separator: "@").first.map(String.init) ?? ""
    if password.unicodeScalars.count < 8 { return "must have at least 8 characters" }
    if password.utf8.count > Accounts.passwordByteCountMax {
      return "must have at most \(Accounts.passwordByteCountMax) bytes"
    }
    if list.contains(password) { return "is too common: others would guess it" }
    if [email, local].contains(password.lowercased()) { return "must not be the e-mail" }
    return nil
  }
}
