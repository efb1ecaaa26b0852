internal import Identity
public import Primitives
public import SQLite

/// What the owners of a provider are told: its people, each in its own stream of events, and by e-mail where the
/// server sends any. No webhook carries it.
public enum OwnerNotice: Sendable {
  /// Earnings were paid out, by the reference that was given.
  case payout(Microtokens, reference: String, transfer: String)
  /// A webhook was disabled, for a reason such as `dead_letter`.
  case webhookDisabled(id: String, reason: String)

  /// How the types of such events begin.
  static let prefix = "notice."
  /// People of one provider that are told, at most.
  public static let ownersMax: Int64 = 20
  /// E-mails of one type that are put on their way to a person in an hour; its stream has every notice.
  public static let mailsPerHourMax: Int64 = 10

  private static let payoutType = prefix + "payout"
  private static let disabledType = prefix + "webhook_disabled"

  /// Puts the notice in the outbox, an event for each owner, in the running transaction.
  ///
  /// - Parameter provider: Whose owners are told; nobody, where it has none.
  public func tell(
    ownersOf provider: String, at now: Timestamp, random: RandomSource, on connection: Connection
  ) throws {
    for owner in try OwnerNoticeStore.owners(of: provider, on: connection) {
      // The provider has another name here than in its own events, which go to its webhooks.
      var data: JSONObject = ["userId": .string(owner.text), "provider": .string(provider)]
      let type: String
      switch self {
      case .payout(let amount, let reference, let transfer):
        type = OwnerNotice.payoutType
        data["amountMicrotokens"] = .int(amount.count)
        data["reference"] = .string(reference)
        data["transferId"] = .string(transfer)
      case .webhookDisabled(let id, let reason):
        type = OwnerNotice.disabledType
        data["webhookId"] = .string(id)
        data["reason"] = .string(reason)
      }
      _ = try OutboxStore.add(type, data, at: now, random: random, on: connection)
    }
  }

  /// The provider that a notice is about, or nil where it is about none.
  static func provider(of event: OutboxEvent) -> String? {
    // What cannot be read is about nobody, and makes no e-mail either.
    (try? JSON.parse(event.payload))?["data"]?["provider"]?.string
  }

  /// The e-mail of a notice, or nil where the event is none that we know.
  static func mail(of event: OutboxEvent, to address: String) -> Mail? {
    guard let data = (try? JSON.parse(event.payload))?["data"] else { return nil }
    let provider = data["provider"]?.string ?? ""
    switch event.type {
    case payoutType:
      return MailTexts.payout(
        to: address, provider: provider,
        amount: Microtokens(data["amountMicrotokens"]?.int ?? 0),
        reference: data["reference"]?.string ?? "")
    case disabledType:
      return MailTexts.webhookDisabled(
        to: address, provider: provider, webhook: data["webhookId"]?.string ?? "",
        reason: data["reason"]?.string ?? "")
    default: return nil
    }
  }
}
