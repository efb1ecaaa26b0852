internal import Catalog
internal import Cryptography
internal import Primitives

/// What somebody asks to be offered.
public struct SessionWish: Sendable, Equatable {
  /// The listing.
  public var serviceID: String
  /// Whether the user pays, or the platform for a trial.
  public var isPaid: Bool
  /// The offer, or nil for the listing's first.
  public var offerID: String?
  /// The length in minutes; a trial's is the listing's.
  public var minutes: Int64?
  /// The most to be used, in whole tokens; nil for the price of the full time.
  public var maxTokens: Int64?
  /// One of the registered addresses, or nil for the first.
  public var redirectURL: String?

  /// A wish; a trial where nothing else is said.
  public init(
    serviceID: String, isPaid: Bool = false, offerID: String? = nil, minutes: Int64? = nil,
    maxTokens: Int64? = nil, redirectURL: String? = nil
  ) {
    self.serviceID = serviceID
    self.isPaid = isPaid
    self.offerID = offerID
    self.minutes = minutes
    self.maxTokens = maxTokens
    self.redirectURL = redirectURL
  }
}

/// What a session of a listing would be: everything that the user agrees to.
public struct SessionTerms: Sendable, Equatable {
  /// How it is paid for.
  public let plan: SessionState.Plan
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
  /// Who runs the session, and is paid.
  public let runBy: String
  /// The audience of the launch token.
  public let appID: String
  /// The origin of a browser-only app that redeems by itself, or nil.
  public let appOrigin: String?
  /// Where the session goes: an address that is registered, exactly.
  public let redirectURL: String
  /// Its length in minutes.
  public let minutes: Int64
  /// Microtokens an hour; 0 where use is reported.
  public let ratePerHour: Int64
  /// Microtokens a reported unit; 0 where time is paid for.
  public let unitPrice: Int64
  /// What a unit is.
  public let unit: String
  /// The most it may use, in microtokens.
  public let cap: Int64
  /// The platform's share of what the user pays, in ten-thousandths.
  public let feeBasisPoints: Int64
  /// Whether it is a demo in the sandbox, which the listing's provider does not offer.
  public let isSandbox: Bool
  private let offerTerms: [UInt8]

  /// Tokens of one session, at most: as many microtokens as one movement may have.
  public static let tokensMax: Int64 = 1_000_000_000

  /// The terms of a wish on a listing as it is now.
  ///
  /// - Parameter feeBasisPoints: The platform's share of a paid session; a trial carries none.
  /// - Throws: `Refusal` `not_found`, `trial_not_offered`, or `validation_failed` with the fields at fault.
  init(
    of wish: SessionWish, _ stored: StoredService, policy: TrialPolicy, feeBasisPoints: Int64
  ) throws(Refusal) {
    let service = stored.service
    guard service.isPublic else { throw Refusal(.notFound, "There is no such service.") }
    let offer = wish.offerID.map { service.offer($0) } ?? service.offers.first
    if wish.isPaid, service.providerID.hasPrefix("unclaimed-") {
      throw SessionTerms.invalid("/serviceId", "has no known provider that could be paid")
    }
    // A listing without offers has one by default, which costs nothing that is known.
    if offer == nil, let id = wish.offerID, !(service.offers.isEmpty && id == "default") {
      throw SessionTerms.invalid("/offerId", "is no offer of this service")
    }
    let price =
      try wish.isPaid
      ? Price(paying: offer, wish) : Price(trialOf: service, offer, policy)
    let addresses =
      price.sandbox.map { [$0.redirectURL] }
      ?? SessionTerms.addresses(of: service, isDevelopment: policy.sandbox != nil)
    plan = price.plan
    minutes = price.minutes
    ratePerHour = price.ratePerHour
    unitPrice = price.unitPrice
    unit = offer?.unit ?? "unit"
    cap = price.cap
    isSandbox = price.sandbox != nil
    self.feeBasisPoints = wish.isPaid ? feeBasisPoints : 0
    redirectURL = try SessionTerms.address(wish.redirectURL, among: addresses, isPaid: wish.isPaid)
    runBy = isSandbox ? Sandbox.providerID : service.providerID
    appID = isSandbox ? Sandbox.appID : service.text("appId") ?? service.id
    appOrigin = isSandbox ? nil : service.text("appOrigin").flatMap(RedirectAddress.origin)
    serviceID = service.id
    serviceName = service.name
    let isUnclaimed = service.providerID.hasPrefix("unclaimed-") || service.providerName.isEmpty
    providerName = isUnclaimed ? "its provider (not stated)" : service.providerName
    revision = stored.revision
    offerID = offer?.id ?? "default"
    offerTerms = offer?.terms ?? []
  }

  private static func invalid(_ pointer: String, _ reason: String) -> Refusal {
    Refusal(
      .validationFailed, "These terms cannot be offered.", fields: [.init(pointer, reason)])
  }

  /// What a session costs and how long it lasts.
  private struct Price {
    var plan = SessionState.Plan.trial
    var minutes: Int64
    var ratePerHour: Int64 = 0
    var unitPrice: Int64 = 0
    var cap: Int64
    var sandbox: Sandbox?

    /// What the listing says of its trial, within the platform's cap; else a demo in the sandbox.
    init(trialOf service: Service, _ offer: Offer?, _ policy: TrialPolicy) throws(Refusal) {
      let isReachable = !SessionTerms.addresses(
        of: service, isDevelopment: policy.sandbox != nil
      ).isEmpty
      if let trial = service.trial, trial.isOffered, isReachable {
        minutes = min(max(trial.minutes, 5), 180)
        ratePerHour = (offer?.tokenRatePerHour ?? 0) * 1_000_000
        cap = min(trial.capTokens ?? policy.capTokens, policy.capTokens) * 1_000_000
      } else if let sandbox = policy.sandbox {
        minutes = 30
        ratePerHour = 500 * 1_000_000
        cap = 250 * 1_000_000
        self.sandbox = sandbox
      } else {
        throw Refusal(.trialNotOffered, "\(service.name) offers no trial.")
      }
    }

    /// What the user pays by an offer: by the hour, or by the unit.
    init(paying offer: Offer?, _ wish: SessionWish) throws(Refusal) {
      guard let minutes = wish.minutes, (5...180).contains(minutes) else {
        throw invalid("/durationMinutes", "must be a whole number from 5 to 180")
      }
      if let most = wish.maxTokens, !(1...SessionTerms.tokensMax).contains(most) {
        throw invalid("/maxTokens", "must be a whole number from 1 to \(SessionTerms.tokensMax)")
      }
      self.minutes = minutes
      if let price = offer?.unitPriceMicrotokens {
        guard let most = wish.maxTokens else {
          throw invalid("/maxTokens", "is missing: this offer is paid by use")
        }
        plan = .usage
        unitPrice = price
        cap = most * 1_000_000
        return
      }
      guard let rate = offer?.tokenRatePerHour else {
        throw invalid("/offerId", "has no price in tokens: there is no paid session of it")
      }
      plan = .hourly
      ratePerHour = rate * 1_000_000
      let cost = Metering.charge(ratePerHour: ratePerHour, milliseconds: minutes * 60_000)
      let least = (cost + 999_999) / 1_000_000
      guard least <= SessionTerms.tokensMax else {
        throw invalid("/durationMinutes", "costs more than \(SessionTerms.tokensMax) tokens")
      }
      let most = wish.maxTokens ?? max(least, 1)
      guard most >= least else {
        throw invalid("/maxTokens", "must be at least \(least): the price of the full time")
      }
      cap = most * 1_000_000
    }
  }

  /// Where sessions of a listing may go: what is registered, and on a server in development also the
  /// developer's own machine. A fragment would swallow the launch token.
  private static func addresses(of service: Service, isDevelopment: Bool) -> [String] {
    let registered = service.list("redirectUris") ?? [service.text("appUrl")].compactMap { $0 }
    return registered.filter { link in
      !link.contains("#") && (isDevelopment || !RedirectAddress.isLoopback(link))
    }
  }

  private static func address(
    _ wanted: String?, among registered: [String], isPaid: Bool
  ) throws(Refusal) -> String {
    guard let first = registered.first else {
      throw invalid("/serviceId", "has no address that a session could be sent to")
    }
    guard let wanted else { return first }
    guard registered.contains(wanted) else {
      throw invalid("/redirectUri", "must be one of the registered addresses, letter for letter")
    }
    return wanted
  }

  /// Microtokens to be reserved: the price of the full time within the cap, or the cap where use is reported.
  public var amount: Int64 {
    if plan == .usage { return cap }
    return min(cap, Metering.charge(ratePerHour: ratePerHour, milliseconds: minutes * 60_000))
  }

  /// SHA-256 over everything that the user agrees to.
  public var hash: [UInt8] {
    let terms: JSON = [
      "plan": .string(plan.rawValue), "serviceId": .string(serviceID), "revision": .int(revision),
      "offerId": .string(offerID), "offer": .string(BytesText.hex(Digest.sha256(offerTerms))),
      "runBy": .string(runBy), "appId": .string(appID), "appOrigin": .optional(appOrigin),
      "redirectUrl": .string(redirectURL), "minutes": .int(minutes),
      "ratePerHour": .int(ratePerHour), "unitPrice": .int(unitPrice), "unit": .string(unit),
      "cap": .int(cap), "feeBasisPoints": .int(feeBasisPoints), "sandbox": .bool(isSandbox),
    ]
    return Digest.sha256(terms.canonicalBytes)
  }
}
