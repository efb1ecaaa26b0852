/// The texts of this folder: what defines the record's schema and the index.
package enum IndexFiles {
  /// Every migration of `record.db`: name and SQL, in order.
  package static let migrations: [(name: String, sql: String)] = [
    ("m0001-create-catalog.sql", text(PackageResources.m0001_create_catalog_sql)),
    ("m0002-create-identity.sql", text(PackageResources.m0002_create_identity_sql)),
    ("m0003-create-ledger.sql", text(PackageResources.m0003_create_ledger_sql)),
    ("m0004-create-session.sql", text(PackageResources.m0004_create_session_sql)),
    ("m0005-create-conversation.sql", text(PackageResources.m0005_create_conversation_sql)),
    ("m0006-create-feedback.sql", text(PackageResources.m0006_create_feedback_sql)),
    ("m0007-create-placement.sql", text(PackageResources.m0007_create_placement_sql)),
    ("m0008-extend-ledger.sql", text(PackageResources.m0008_extend_ledger_sql)),
    ("m0009-extend-session.sql", text(PackageResources.m0009_extend_session_sql)),
    ("m0010-extend-identity.sql", text(PackageResources.m0010_extend_identity_sql)),
    ("m0011-create-webhook.sql", text(PackageResources.m0011_create_webhook_sql)),
    ("m0012-create-payment.sql", text(PackageResources.m0012_create_payment_sql)),
    ("m0013-create-oauth.sql", text(PackageResources.m0013_create_oauth_sql)),
    ("m0014-index-proposal.sql", text(PackageResources.m0014_index_proposal_sql)),
    ("m0015-chain-history.sql", text(PackageResources.m0015_chain_history_sql)),
    ("m0016-create-ledger-fault.sql", text(PackageResources.m0016_create_ledger_fault_sql)),
    (
      "m0017-create-consent-request.sql", text(PackageResources.m0017_create_consent_request_sql)
    ),
    (
      "m0018-create-heartbeat-reply.sql",
      text(PackageResources.m0018_create_heartbeat_reply_sql)
    ),
    ("m0019-sign-audit.sql", text(PackageResources.m0019_sign_audit_sql)),
    ("m0020-extend-oauth.sql", text(PackageResources.m0020_extend_oauth_sql)),
    ("m0021-create-notice-mail.sql", text(PackageResources.m0021_create_notice_mail_sql)),
    ("m0022-mark-history.sql", text(PackageResources.m0022_mark_history_sql)),
    ("m0023-check-without-lists.sql", text(PackageResources.m0023_check_without_lists_sql)),
  ]

  /// Ranking: field weights, BM25 constants, the mix of the legs, the cosine cut.
  package static var ranking: String { text(PackageResources.ranking_json) }
  /// The mean vector of needs, 384 numbers: taken off a need before it is compared.
  package static var needMean: String { text(PackageResources.need_mean_json) }
  /// The embedding model: package, sums, shape.
  package static var model: String { text(PackageResources.model_json) }
  /// Two-way synonyms, a group a line.
  package static var synonyms: String { text(PackageResources.synonyms_txt) }
  /// Words that carry no need, one a line.
  package static var stopWords: String { text(PackageResources.stopwords_txt) }
  /// Words that mean a constraint.
  package static var lexicon: String { text(PackageResources.lexicon_json) }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
