public import Primitives

/// The texts of our e-mails. The secret stands behind a `#`, which no browser sends to a server.
public enum MailTexts {
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

  /// Tells an owner of a provider that earnings were paid out.
  public static func payout(
    to address: String, provider: String, amount: Microtokens, reference: String
  ) -> Mail {
    Mail(
      recipient: address, subject: "A payout to your provider was booked",
      text: """
        A payout to \(provider) was booked on Waypost:

        amount: \(amount.tokens) tokens
        reference: \(reference)

        You see it among the provider's movements. If you did not expect it, ask the operator.
        """)
  }

  /// Tells an owner of a provider that a webhook gets no more events.
  public static func webhookDisabled(
    to address: String, provider: String, webhook: String, reason: String
  ) -> Mail {
    let why =
      switch reason {
      case "gone": "Your server answered that it is gone (410)."
      case "dead_letter": "An event could not be delivered in ten attempts over three days."
      case "overflow": "Too many events wait for it."
      default: reason
      }
    return Mail(
      recipient: address, subject: "A webhook of your provider was disabled",
      text: """
        The webhook \(webhook) of \(provider) was disabled and gets no more events.

        \(why)

        Once your server takes events again, enable the webhook. What happens until then is in the
        provider's list of events.
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
