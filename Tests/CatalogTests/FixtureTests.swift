import Catalog
import Foundation
import Primitives
import SQLite
import Testing

private let names = ["models.jsonl", "services.jsonl"]
private let files = names.map { packageRoot + "/Fixtures/" + $0 }

@Suite("The catalogs that are shipped")
struct FixtureTests {
  @Test("both are imported without a refused line, at least 2,900 services together")
  func complete() async throws {
    let record = try Record()
    let (report, said) = try await record.imported(files)
    #expect(said.isEmpty)
    #expect(report.refused == 0)
    #expect(report.created >= 2_900)
    // An id that stood twice would count as changed or the same.
    #expect(report.taken == report.created)
    let (again, _) = try await record.imported(files)
    #expect(again.same == report.created)
  }

  @Test("they are at most 6 MB together")
  func size() throws {
    let sizes = try files.map { try Data(contentsOf: URL(fileURLWithPath: $0)).count }
    let byteCount = sizes.reduce(0, +)
    #expect(byteCount <= 6_000_000)
  }

  @Test("every service says its source and that source's licence", arguments: names)
  func provenance(name: String) throws {
    let services = try Importer.services(of: packageRoot + "/Fixtures/" + name)
    #expect(!services.isEmpty)
    let silent = services.filter {
      ($0.text("source") ?? "").isEmpty || ($0.text("sourceLicense") ?? "").isEmpty
    }
    #expect(silent.isEmpty)
    let unnamed = services.filter { $0.name.isEmpty }
    #expect(unnamed.isEmpty)
  }

  @Test("models state exact prices for 1,000,000 tokens")
  func prices() throws {
    let services = try Importer.services(of: files[0])
    let tokens = services.flatMap(\.offers).flatMap(\.prices).filter {
      $0.meter.hasSuffix("Token")
    }
    #expect(!tokens.isEmpty)
    let odd = tokens.filter { $0.per != 1_000_000 || $0.money.amountNano < 0 }
    #expect(odd.isEmpty)
  }
}
