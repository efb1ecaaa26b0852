public import Catalog
internal import Cryptography
public import Primitives

/// The provider that `serve --demo` brings: trials of demo listings run against it.
public struct Sandbox: Sendable {
  /// The provider's id.
  public static let providerID = "waypost-sandbox"
  /// The audience of launch tokens.
  public static let appID = "waypost-sandbox"

  /// The page that sessions go to.
  public let redirectURL: String
  /// The origin of that page: as a public app it may redeem with the token alone.
  public let origin: String

  /// The sandbox of a server at a public address.
  public init(publicURL: String) {
    redirectURL = publicURL + "/demo/app"
    origin = publicURL
  }
}

/// The rules of trials; each number is a setting.
public struct TrialPolicy: Sendable {
  /// Trials a user may start in 24 hours.
  public var perDayMax: Int64 = 5
  /// Trials that may start with one provider in 24 hours: they are paid from the platform's budget. The
  /// sandbox has no such bound, for what it earns is the platform's.
  public var perProviderDayMax: Int64 = 200
  /// Finished trials of one service a user may have in 30 days.
  public var repeatsMax: Int64 = 1
  /// The most a trial may use, in whole tokens, whatever the listing says.
  public var capTokens: Int64 = 250
  /// Where demo listings are tried, or nil.
  public var sandbox: Sandbox?

  /// The defaults.
  public init() {}
}

/// What a trial of a listing would be: everything that the user agrees to.
public struct TrialTerms: Sendable, Equatable {
  /// The listing.
  public let serviceID: String
  /// Its name.
  public let serviceName: String
  /// Its provider's name.
  public let providerName: String
  /// The revision that the terms were read from.
  public let revision: Int64
  /// The offer.
  public let offerID: String
  /// Who runs the session.
  public let runBy: String
  /// The audience of the launch token.
  public let appID: String
  /// Where the session goes.
  public let redirectURL: String
  /// Its length in minutes.
  public let minutes: Int64
  /// Microtokens an hour.
  public let ratePerHour: Int64
  /// The most it may use, in microtokens: the lower of listing's and platform's cap, and of the full time.
  public let cap: Int64
  /// Whether it is a demo in the sandbox, which the listing's provider does not offer.
  public let isSandbox: Bool
  private let offerTerms: [UInt8]

  /// The terms of a listing as it is now.
  /// - Throws: `Refusal` `trial_not_offered`.
  public init(of stored: StoredService, policy: TrialPolicy) throws(Refusal) {
    let service = stored.service
    guard service.isPublic else { throw Refusal(.notFound, "There is no such service.") }
    let offer = service.offers.first
    if let trial = service.trial, trial.isOffered,
      let redirect = service.list("redirectUris")?.first ?? service.text("appUrl")
    {
      minutes = min(max(trial.minutes, 5), 180)
      ratePerHour = (offer?.tokenRatePerHour ?? 0) * 1_000_000
      cap = min(trial.capTokens ?? policy.capTokens, policy.capTokens) * 1_000_000
      runBy = service.providerID
      appID = service.text("appId") ?? service.id
      redirectURL = redirect
      isSandbox = false
    } else if let sandbox = policy.sandbox {
      minutes = 30
      ratePerHour = 500 * 1_000_000
      cap = 250 * 1_000_000
      runBy = Sandbox.providerID
      appID = Sandbox.appID
      redirectURL = sandbox.redirectURL
      isSandbox = true
    } else {
      throw Refusal(.trialNotOffered, "\(service.name) offers no trial.")
    }
    serviceID = service.id
    serviceName = service.name
    let isUnclaimed = service.providerID.hasPrefix("unclaimed-") || service.providerName.isEmpty
    providerName = isUnclaimed ? "its provider (not stated)" : service.providerName
    revision = stored.revision
    offerID = offer?.id ?? "default"
    offerTerms = offer?.terms ?? []
  }

  /// Microtokens to be reserved: the price of the full time, never above the cap.
  public var amount: Int64 {
    min(cap, Metering.charge(ratePerHour: ratePerHour, milliseconds: minutes * 60_000))
  }

  /// SHA-256 over everything that the user agrees to.
  public var hash: [UInt8] {
    let terms: JSON = [
      "serviceId": .string(serviceID), "revision": .int(revision), "offerId": .string(offerID),
      "offer": .string(BytesText.hex(Digest.sha256(offerTerms))), "runBy": .string(runBy),
      "appId": .string(appID), "redirectUrl": .string(redirectURL), "minutes": .int(minutes),
      "ratePerHour": .int(ratePerHour), "cap": .int(cap), "sandbox": .bool(isSandbox),
    ]
    return Digest.sha256(terms.canonicalBytes)
  }

  /// The consent as people read it, from stored fields only.
  public var consent: String {
    let most = Microtokens(amount).tokens
    let lead =
      isSandbox
      ? "Demo trial in the sandbox, not offered by \(providerName). "
      : ""
    return lead
      + "Try \(serviceName) by \(providerName) for \(minutes) minutes. You pay 0 tokens; the platform pays up to \(most). Unused tokens go back to the platform. This offer ends five minutes after it was made."
  }
}
