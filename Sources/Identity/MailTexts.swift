/// The texts of our e-mails. The secret stands behind a `#`, which no browser sends to a server.
enum MailTexts {
  static func register(to address: String, token: String, at url: String) -> Mail {
    Mail(
      recipient: address, subject: "Confirm your e-mail address",
      text: """
        Somebody, probably you, asked for a Waypost account with this address.

        To make the account, open this within 30 minutes and enter the password that you chose:
        \(url)/verify#token=\(token)

        or send the code itself: \(token)

        If it was not you, do nothing: there is no account, and nothing is kept.
        """)
  }

  static func taken(to address: String, at url: String) -> Mail {
    Mail(
      recipient: address, subject: "You have a Waypost account already",
      text: """
        Somebody, probably you, asked for a Waypost account with this address. There is one already.

        Sign in at \(url), or ask there for a new password if you have forgotten yours.

        If it was not you, do nothing: nothing has changed.
        """)
  }

  static func reset(to address: String, token: String, at url: String) -> Mail {
    Mail(
      recipient: address, subject: "Choose a new password",
      text: """
        Somebody, probably you, asked for a new password of your Waypost account.

        To choose one, open this within 30 minutes:
        \(url)/reset#token=\(token)

        or send the code itself: \(token)

        If it was not you, do nothing: your password is as it was.
        """)
  }

  static func verify(to address: String, token: String, at url: String) -> Mail {
    Mail(
      recipient: address, subject: "Confirm your e-mail address",
      text: """
        To confirm that this address is yours, open this within 30 minutes:
        \(url)/verify#token=\(token)

        or send the code itself: \(token)
        """)
  }

  static func passwordChanged(to address: String) -> Mail {
    Mail(
      recipient: address, subject: "Your password was changed",
      text: """
        The password of your Waypost account was changed, and every other device was signed out.

        If it was not you, ask for a new password at once, and revoke API keys that you do not know.
        """)
  }
}
