// swift-tools-version: 6.2
import PackageDescription

// Who may import whom stands in Pages/map.md and is held by
// `swift build --explicit-target-dependency-import-check error`.
let package = Package(
  name: "waypost",
  products: [.executable(name: "waypost", targets: ["waypost"])],
  targets: [
    .systemLibrary(name: "CSQLite", path: "Sources/C/CSQLite", pkgConfig: "sqlite3"),
    .systemLibrary(name: "CCurl", path: "Sources/C/CCurl", pkgConfig: "libcurl"),
    .systemLibrary(name: "CBLAS", path: "Sources/C/CBLAS", pkgConfig: "blas"),
    .systemLibrary(name: "COpenSSL", path: "Sources/C/COpenSSL", pkgConfig: "libcrypto"),
    .systemLibrary(name: "CArgon2", path: "Sources/C/CArgon2", pkgConfig: "libargon2"),
    .target(
      name: "CMicroHTTPD", path: "Sources/C/CMicroHTTPD",
      cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2", "-Wall", "-Wextra"])],
      linkerSettings: [.linkedLibrary("microhttpd")]),
    .target(
      name: "CKernels", path: "Sources/C/CKernels",
      cSettings: [.unsafeFlags(["-O3", "-Wall", "-Wextra"])],
      linkerSettings: [.linkedLibrary("m")]),
    // For tests alone: a disk that crashes, as a SQLite VFS.
    .target(
      name: "CCrashDisk", path: "Sources/C/CCrashDisk",
      cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-O2", "-Wall", "-Wextra"])],
      linkerSettings: [.linkedLibrary("sqlite3")]),

    .target(
      name: "Index", path: "Index",
      resources: [
        .embedInCode("Migrations/m0001-create-catalog.sql"),
        .embedInCode("Migrations/m0002-create-identity.sql"),
        .embedInCode("Migrations/m0003-create-ledger.sql"),
        .embedInCode("Migrations/m0004-create-session.sql"),
        .embedInCode("Migrations/m0005-create-conversation.sql"),
        .embedInCode("Migrations/m0006-create-feedback.sql"),
        .embedInCode("Migrations/m0007-create-placement.sql"),
        .embedInCode("Migrations/m0008-extend-ledger.sql"),
        .embedInCode("Migrations/m0009-extend-session.sql"),
        .embedInCode("Migrations/m0010-extend-identity.sql"),
        .embedInCode("Migrations/m0011-create-webhook.sql"),
        .embedInCode("Migrations/m0012-create-payment.sql"),
        .embedInCode("Migrations/m0013-create-oauth.sql"),
        .embedInCode("Migrations/m0014-index-proposal.sql"),
        .embedInCode("Migrations/m0015-chain-history.sql"),
        .embedInCode("Migrations/m0016-create-ledger-fault.sql"),
        .embedInCode("Migrations/m0017-create-consent-request.sql"),
        .embedInCode("Migrations/m0018-create-heartbeat-reply.sql"),
        .embedInCode("Migrations/m0019-sign-audit.sql"),
        .embedInCode("Migrations/m0020-extend-oauth.sql"),
        .embedInCode("Migrations/m0021-create-notice-mail.sql"),
        .embedInCode("Migrations/m0022-mark-history.sql"),
        .embedInCode("Migrations/m0023-check-without-lists.sql"),
        .embedInCode("ranking.json"), .embedInCode("need-mean.json"), .embedInCode("model.json"),
        .embedInCode("synonyms.txt"), .embedInCode("stopwords.txt"),
        .embedInCode("lexicon.json"),
      ]),
    .target(
      name: "Prompts", path: "Prompts",
      resources: [
        .embedInCode("guide.json"), .embedInCode("consent.json"), .embedInCode("system.txt"),
      ]),

    .target(name: "Primitives"),
    .target(name: "SQLite", dependencies: ["CSQLite", "Primitives"]),
    .target(name: "LinearAlgebra", dependencies: ["CBLAS", "CKernels", "Primitives"]),
    .target(name: "Cryptography", dependencies: ["COpenSSL", "CArgon2", "Primitives"]),
    .target(name: "HTTPServer", dependencies: ["CMicroHTTPD", "Primitives"]),
    .target(name: "HTTPClient", dependencies: ["CCurl", "Primitives"]),
    .target(name: "Catalog", dependencies: ["SQLite", "Index", "Primitives"]),
    .target(name: "Embedding", dependencies: ["LinearAlgebra", "Index", "Primitives"]),
    .target(
      name: "Search",
      dependencies: [
        "Catalog", "Embedding", "LinearAlgebra", "Cryptography", "SQLite", "Index", "Primitives",
      ]),
    .target(
      name: "Identity",
      dependencies: ["Cryptography", "SQLite", "Index", "HTTPClient", "Primitives"]),
    .target(
      name: "Authorization",
      dependencies: ["Identity", "HTTPClient", "Cryptography", "SQLite", "Primitives"]),
    .target(name: "Ledger", dependencies: ["SQLite", "Cryptography", "Index", "Primitives"]),
    .target(
      name: "Sessions",
      dependencies: [
        "Ledger", "Catalog", "Identity", "Cryptography", "SQLite", "Index", "Prompts", "Primitives",
      ]),
    .target(
      name: "Payments",
      dependencies: [
        "Ledger", "Identity", "HTTPClient", "Cryptography", "SQLite", "Index", "Primitives",
      ]),
    .target(
      name: "Delivery",
      dependencies: [
        "Identity", "Ledger", "HTTPClient", "Cryptography", "SQLite", "Primitives",
      ]),
    .target(
      name: "Chat",
      dependencies: [
        "Search", "Catalog", "Sessions", "Prompts", "HTTPClient", "SQLite", "Index", "Primitives",
        "Cryptography",
      ]),
    .target(
      name: "API",
      dependencies: [
        "HTTPServer", "Catalog", "Search", "Identity", "Authorization", "Ledger", "Sessions",
        "Payments", "Delivery", "Chat", "SQLite", "Cryptography", "Primitives",
      ]),
    .executableTarget(
      name: "waypost",
      dependencies: [
        "API", "HTTPServer", "HTTPClient", "Catalog", "Embedding", "Search", "Identity", "Ledger",
        "Sessions", "Authorization", "Payments", "Delivery", "Chat", "SQLite", "Cryptography",
        "LinearAlgebra", "Index",
        "Primitives",
      ]),
    // What the tests of several modules stand on: folders, clocks, randomness.
    .target(name: "TestSupport", dependencies: ["Primitives"], path: "Tests/TestSupport"),
    .testTarget(name: "PrimitivesTests", dependencies: ["Primitives", "TestSupport"]),
    .testTarget(
      name: "SQLiteTests", dependencies: ["SQLite", "CCrashDisk", "Primitives", "TestSupport"]),
    .testTarget(name: "CryptographyTests", dependencies: ["Cryptography", "Primitives"]),
    .testTarget(
      name: "CatalogTests",
      dependencies: ["Catalog", "SQLite", "Index", "Primitives", "TestSupport"]),
    .testTarget(
      name: "LedgerTests",
      dependencies: [
        "Ledger", "Cryptography", "SQLite", "CCrashDisk", "Index", "Primitives", "TestSupport",
      ]),
    .testTarget(
      name: "SessionsTests",
      dependencies: [
        "Sessions", "Ledger", "Catalog", "Identity", "Cryptography", "SQLite", "Index",
        "Primitives", "TestSupport",
      ]),
    .testTarget(
      name: "PaymentsTests",
      dependencies: [
        "Payments", "Ledger", "Identity", "HTTPClient", "Cryptography", "SQLite", "Index",
        "Primitives", "TestSupport",
      ]),
    .testTarget(
      name: "DeliveryTests",
      dependencies: [
        "Delivery", "Catalog", "Identity", "Ledger", "HTTPClient", "Cryptography", "SQLite",
        "Index", "Primitives", "TestSupport",
      ]),
    .testTarget(name: "APITests", dependencies: ["API", "Primitives"]),
    .testTarget(name: "LinearAlgebraTests", dependencies: ["LinearAlgebra", "Primitives"]),
    .testTarget(
      name: "EmbeddingTests", dependencies: ["Embedding", "LinearAlgebra", "Primitives"]),
    .testTarget(
      name: "SearchTests",
      dependencies: [
        "Search", "Catalog", "Embedding", "LinearAlgebra", "SQLite", "Index", "Primitives",
        "TestSupport",
      ]),
    .testTarget(
      name: "IdentityTests",
      dependencies: [
        "Identity", "HTTPClient", "Cryptography", "SQLite", "Index", "Primitives", "TestSupport",
      ]),
    .testTarget(
      name: "AuthorizationTests",
      dependencies: [
        "Authorization", "Identity", "HTTPClient", "Cryptography", "SQLite", "Index", "Primitives",
        "TestSupport",
      ]),
  ],
  cLanguageStandard: .c11
)

// The fuzz targets stand apart: their entry is libFuzzer's, which only a build for fuzzing links (Scripts/fuzz.sh).
if Context.environment["WAYPOST_FUZZ"] != nil {
  package.targets.append(.target(name: "FuzzSupport", path: "Tests/Fuzz/Support"))
  let entries: [(name: String, dependencies: [Target.Dependency])] = [
    ("filter", ["Search", "Primitives"]),
    ("query", ["Search", "Catalog", "SQLite", "Index", "Primitives"]),
    ("tokenizer", ["Embedding", "SQLite"]),
    ("import", ["Catalog", "SQLite", "Index", "Primitives"]),
  ]
  for entry in entries {
    let name = "waypost-fuzz-" + entry.name
    package.targets.append(
      .executableTarget(
        name: name, dependencies: ["FuzzSupport"] + entry.dependencies,
        path: "Tests/Fuzz/" + entry.name, swiftSettings: [.unsafeFlags(["-parse-as-library"])]))
    package.products.append(.executable(name: name, targets: [name]))
  }
}

for target in package.targets where target.type != .system {
  target.swiftSettings =
    (target.swiftSettings ?? []) + [
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .enableUpcomingFeature("MemberImportVisibility"),
      .treatAllWarnings(as: .error),
    ]
}
