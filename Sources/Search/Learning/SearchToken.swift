internal import Cryptography
package import Primitives

/// What a `searchId` says: that this need was answered with these services at that time.
package struct SearchToken: Sendable, Equatable {
  /// 16 bytes that name the search: the token's own signature.
  package let id: [UInt8]
  /// The need, at most 1,000 characters, without what looks like personal data.
  package let need: String
  package let at: Timestamp
  /// Position of the first hit, from 0.
  let offset: Int
  /// Keyed marks of the services shown, in order.
  let marks: [UInt32]
  /// Mark of the user who searched, or 0 for anybody.
  let owner: UInt64
  let salt: [UInt8]
}

/// Issues and checks the tokens of search answers. The server keeps nothing of a search until an event comes.
///
/// A token is `version (1), milliseconds (8), salt (8), owner (8), offset (2), count (1), marks (4 each), need`
/// and 16 bytes of HMAC-SHA-256 over all of it, in base64url: about 200 characters for twenty hits. Marks are
/// keyed as well: an id that collides with a shown one cannot be searched for.
package struct SearchTokens: Sendable {
  /// How long events are taken for a search.
  package static let lifeMilliseconds: Int64 = 24 * 3_600_000
  /// Characters of a need that are kept.
  package static let needCharacterMax = 1_000
  /// Hits that one token can name.
  package static let hitCountMax = 100
  /// Characters of a token: 100 hits and 1,000 characters of four bytes.
  static let textByteCountMax = 6_000
  private static let version: UInt8 = 1
  private static let headByteCount = 28
  private static let macByteCount = 16

  private let key: [UInt8]

  /// - Parameter key: 32 bytes that never leave the server.
  package init(key: [UInt8]) { self.key = key }

  /// The token of an answer, or nil where there is nothing to learn: no need, no hits, or no free place.
  ///
  /// - Parameters:
  ///   - need: The query as it was asked.
  ///   - services: Ids of the hits of the page, in order; the first hundred count.
  ///   - offset: Hits before the page.
  package func issue(
    need: String, services: [String], offset: Int, to caller: FeedbackCaller, at now: Timestamp,
    random: RandomSource
  ) -> String? {
    let need = NeedText.kept(need)
    guard !need.isEmpty, !services.isEmpty, (0...Int(UInt16.max)).contains(offset) else {
      return nil
    }
    let salt = random.bytes(8)
    let shown = services.prefix(SearchTokens.hitCountMax)
    var bytes: [UInt8] = [SearchTokens.version]
    bytes += SearchTokens.bytes(UInt64(bitPattern: now.milliseconds), 8) + salt
    bytes += SearchTokens.bytes(owner(caller), 8) + SearchTokens.bytes(UInt64(offset), 2)
    bytes.append(UInt8(shown.count))
    for service in shown { bytes += SearchTokens.bytes(UInt64(mark(service, salt)), 4) }
    bytes += Array(need.utf8)
    return BytesText.base64url(bytes + mac(bytes))
  }

  /// The token of a text that this server issued to this caller not too long ago.
  /// - Throws: `Refusal` `search_id_invalid`, `search_id_expired`.
  package func read(
    _ text: String, from caller: FeedbackCaller, at now: Timestamp
  ) throws(Refusal) -> SearchToken {
    let bytes =
      text.utf8.count <= SearchTokens.textByteCountMax ? BytesText.bytes(base64url: text) : nil
    let least = SearchTokens.headByteCount + SearchTokens.macByteCount
    guard let bytes, bytes.count > least, bytes[0] == SearchTokens.version,
      Digest.equal(
        mac(Array(bytes.dropLast(SearchTokens.macByteCount))),
        Array(bytes.suffix(SearchTokens.macByteCount))),
      let token = parse(bytes), token.owner == 0 || token.owner == owner(caller)
    else { throw Refusal(.searchIDInvalid, "This searchId is not one of yours.") }
    guard now - token.at <= SearchTokens.lifeMilliseconds else {
      throw Refusal(.searchIDExpired, "Events are taken for a day after their search.")
    }
    return token
  }

  /// Where a service stood in the answer, from 1.
  /// - Throws: `Refusal` `service_not_shown`.
  package func position(of serviceID: String, in token: SearchToken) throws(Refusal) -> Int {
    guard let index = token.marks.firstIndex(of: mark(serviceID, token.salt)) else {
      throw Refusal(.serviceNotShown, "The search did not show this service.")
    }
    return token.offset + index + 1
  }

  /// The 16 bytes under which a visitor's events of a day are stored; nobody can turn them back.
  func visitor(_ text: String, at now: Timestamp) -> [UInt8] {
    let day = now.milliseconds / 86_400_000
    return Array(Digest.hmac(key: key, Array("visitor \(day) \(text)".utf8)).prefix(16))
  }

  private func parse(_ bytes: [UInt8]) -> SearchToken? {
    let body = bytes.dropLast(SearchTokens.macByteCount)
    func number(_ range: Range<Int>) -> UInt64 { body[range].reduce(0) { $0 << 8 | UInt64($1) } }
    let count = Int(body[27])
    let end = SearchTokens.headByteCount + 4 * count
    guard body.count > end else { return nil }
    let starts = stride(from: SearchTokens.headByteCount, to: end, by: 4)
    return SearchToken(
      id: Array(bytes.suffix(SearchTokens.macByteCount)),
      need: String(decoding: body[end...], as: UTF8.self),
      at: Timestamp(milliseconds: Int64(bitPattern: number(1..<9))), offset: Int(number(25..<27)),
      marks: starts.map { UInt32(number($0..<$0 + 4)) }, owner: number(17..<25),
      salt: Array(body[9..<17]))
  }

  private func mac(_ bytes: [UInt8]) -> [UInt8] {
    Array(Digest.hmac(key: key, Array("search token".utf8) + bytes).prefix(16))
  }

  private func mark(_ serviceID: String, _ salt: [UInt8]) -> UInt32 {
    let digest = Digest.hmac(key: key, Array("shown ".utf8) + salt + Array(serviceID.utf8))
    return digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A person's searches are theirs alone; a visitor may sign in on the way to a trial.
  private func owner(_ caller: FeedbackCaller) -> UInt64 {
    guard case .user(let id) = caller.kind else { return 0 }
    let digest = Digest.hmac(key: key, Array("owner ".utf8) + id)
    return max(1, digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
  }

  private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
  }
}

/// A need as it may be kept.
package enum NeedText {
  /// The text on one line, cut, without words that look like an address, a long number or a secret.
  package static func kept(_ text: String) -> String {
    // Cut first, and by scalars: one character may have any number of them.
    let head = String(String.UnicodeScalarView(text.unicodeScalars.prefix(4_000)))
    let words = head.split { $0.isWhitespace || $0.isNewline }.filter { !isPrivate($0) }
    let line = words.joined(separator: " ").unicodeScalars.filter {
      $0.properties.generalCategory != .control
    }
    let cut = String(String.UnicodeScalarView(line.prefix(SearchTokens.needCharacterMax)))
    return cut.split(separator: " ").joined(separator: " ")
  }

  private static func isPrivate(_ word: Substring) -> Bool {
    let scalars = word.unicodeScalars
    let digits = scalars.filter { $0.properties.numericType == .decimal }.count
    // Telephone and card numbers, but not gpt-4o or a model's date.
    let isNumber = digits >= 7 && 2 * digits >= scalars.count
    let isSecret = scalars.count > 32 && digits >= 4
    return word.dropFirst().contains("@") || isNumber || isSecret
  }
}
