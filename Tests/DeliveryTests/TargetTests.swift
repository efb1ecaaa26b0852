import HTTPClient
import Primitives
import Testing
import Delivery
import TestSupport

/// What a receiver's URL may be, and which addresses are connected to.
@Suite("Webhooks: targets")
struct TargetTests {
  static let good = [
    "https://hooks.example.com/in", "https://example.com", "https://example.com?x=1",
    "https://example.com:443/", "https://example.com:8443/a/b?c=d&e=%20",
    "https://a-b.c_d.example/",
    "https://8.8.8.8/", "https://134744072/", "https://0x08080808/", "https://010.8.8.8/",
    "https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]:8443/x",
    "https://xn--bcher-kva.example/", "https://1.example", "https://3com.net",
  ]

  @Test("public https receivers are taken", arguments: TargetTests.good)
  func taken(url: String) {
    #expect(WebhookTarget.fault(in: url, under: WebhookRules()) == nil)
  }

  static let loopback = [
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.1/", "https://0X7F.0.0.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://0177.1/", "https://127.255.255.254:8443/", "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/", "https://[0000::0001]:443/", "https://localhost/",
    "https://LOCALHOST/", "https://a.localhost/",
  ]

  @Test("loopback in any spelling is for development only", arguments: TargetTests.loopback)
  func loopbackRefused(url: String) {
    #expect(WebhookTarget.fault(in: url, under: WebhookRules()) != nil)
    #expect(WebhookTarget.fault(in: url, under: WebhookRules(allowsLoopback: true)) == nil)
    let plain = "http" + url.dropFirst(5)
    #expect(WebhookTarget.fault(in: plain, under: WebhookRules()) != nil)
    #expect(WebhookTarget.fault(in: plain, under: WebhookRules(allowsLoopback: true)) == nil)
  }

  static let refused = [
    // Private, shared, link-local, metadata, unspecified, multicast, reserved, documentation.
    "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/",
    "https://100.64.0.1/", "https://100.100.100.200/", "https://169.254.169.254/latest/meta-data",
    "https://0xa9fea9fe/", "https://2852039166/", "https://0251.0376.0251.0376/",
    "https://169.254.43518/", "https://0/", "https://0.0.0.0/", "https://0x0/", "https://00.0/",
    "https://192.0.0.192/", "https://168.63.129.16/", "https://224.0.0.1/", "https://239.1.1.1/",
    "https://240.0.0.1/", "https://255.255.255.255/", "https://4294967295/", "https://192.0.2.1/",
    "https://198.51.100.1/", "https://203.0.113.9/", "https://198.18.0.1/", "https://192.88.99.1/",
    // IPv6: unspecified, mapped, compatible, NAT64, 6to4, Teredo, local, link-local, multicast, documentation.
    "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[::FFFF:8.8.8.8]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/",
    "https://[2001::1]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[fec0::1]/", "https://[ff02::1]/",
    "https://[2001:db8::1]/", "https://[3fff::1]/", "https://[5f00::1]/", "https://[::2]/",
    // Names that lead inside, and no names at all.
    "https://intranet/", "https://printer.local/", "https://metadata.google.internal/",
    "https://nas.home.arpa/", "https://router.lan/", "https://localhost./", "https://127.0.0.1./",
    "https://example.com./", "https://example..com/", "https://.example.com/", "https:///x",
    "https://?x", "https://", "https://256.256.256.256/", "https://1.2.3.4.5/",
    "https://4294967296/", "https://08.8.8.8/", "https://[::1", "https://[]/",
    "https://[127.0.0.1]/", "https://exa%6dple.com/", "https://bücher.example/",
    "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/",
    // Ports, schemes, users, fragments, control characters, what readers disagree on.
    "https://example.com:80/", "https://example.com:22/", "https://example.com:0/",
    "https://example.com:65536/", "https://example.com:/", "https://example.com:4a3/",
    "https://example.com:443:443/", "https://example.com:-443/", "https://[::1]443/",
    "http://example.com/", "http://8.8.8.8/", "HTTPS://example.com/", "ftp://example.com/",
    "file:///etc/passwd", "gopher://example.com/", "//example.com/", "example.com", "",
    "https:/example.com/", "https:example.com", "https://user@example.com/",
    "https://user:secret@example.com/", "https://8.8.8.8@127.0.0.1/", "https://127.0.0.1@8.8.8.8/",
    "https://example.com/#x", "https://example.com\\@127.0.0.1/", "https://example.com/\r\nX: y",
    "https://example.com/ x", " https://example.com/", "https://example.com/\u{0}",
    "https://example.com/\u{7F}", "https://exam\tple.com/",
  ]

  @Test("what leads inside, or can be read in two ways, is refused", arguments: TargetTests.refused)
  func isRefused(url: String) {
    #expect(WebhookTarget.fault(in: url, under: WebhookRules()) != nil)
  }

  @Test(
    "in development only loopback is added",
    arguments: [
      "https://10.0.0.1/", "https://169.254.169.254/", "http://example.com/", "http://0.0.0.0/",
      "https://[::ffff:127.0.0.1]/", "http://8.8.8.8/", "https://localhost./", "https://intranet/",
    ])
  func development(url: String) {
    #expect(WebhookTarget.fault(in: url, under: WebhookRules(allowsLoopback: true)) != nil)
  }

  @Test("a URL has at most 2,000 bytes")
  func length() {
    let head = "https://example.com/"
    let fitting = head + String(repeating: "a", count: 2_000 - head.utf8.count)
    #expect(WebhookTarget.fault(in: fitting, under: WebhookRules()) == nil)
    #expect(WebhookTarget.fault(in: fitting + "a", under: WebhookRules()) != nil)
  }

  @Test("an operator's ports are taken beside 443")
  func ports() {
    let rules = WebhookRules(ports: [9_000])
    #expect(WebhookTarget.fault(in: "https://example.com:9000/", under: rules) == nil)
    #expect(WebhookTarget.fault(in: "https://example.com/", under: rules) == nil)
    #expect(WebhookTarget.fault(in: "https://example.com:8443/", under: rules) != nil)
  }
}

/// The addresses themselves: the edges of each refused network.
@Suite("Webhooks: addresses")
struct AddressTests {
  static let four: [([UInt8], Bool)] = [
    ([0, 255, 255, 255], false), ([1, 0, 0, 0], true), ([9, 255, 255, 255], true),
    ([10, 0, 0, 0], false), ([10, 255, 255, 255], false), ([11, 0, 0, 0], true),
    ([100, 63, 255, 255], true), ([100, 64, 0, 0], false), ([100, 127, 255, 255], false),
    ([100, 128, 0, 0], true), ([126, 255, 255, 255], true), ([127, 0, 0, 0], false),
    ([128, 0, 0, 0], true), ([168, 63, 129, 15], true), ([168, 63, 129, 16], false),
    ([169, 253, 255, 255], true), ([169, 254, 0, 0], false), ([169, 255, 0, 0], true),
    ([172, 15, 255, 255], true), ([172, 16, 0, 0], false), ([172, 31, 255, 255], false),
    ([172, 32, 0, 0], true), ([192, 0, 0, 255], false), ([192, 0, 1, 0], true),
    ([192, 0, 2, 0], false), ([192, 167, 255, 255], true), ([192, 168, 0, 0], false),
    ([192, 169, 0, 0], true), ([198, 17, 255, 255], true), ([198, 18, 0, 0], false),
    ([198, 19, 255, 255], false), ([198, 20, 0, 0], true), ([223, 255, 255, 255], true),
    ([224, 0, 0, 0], false), ([239, 255, 255, 255], false), ([240, 0, 0, 0], false),
    ([255, 255, 255, 255], false),
  ]

  @Test("edges of the IPv4 networks", arguments: AddressTests.four)
  func edgesOfFour(bytes: [UInt8], isPublic: Bool) {
    #expect(AddressPolicy.isPublic(bytes) == isPublic)
    #expect(AddressPolicy().permits(bytes, isPlain: false) == isPublic)
    #expect(!AddressPolicy().permits(bytes, isPlain: true))
  }

  static let six: [([UInt8], Bool)] = [
    ([0x1F, 0xFF], false), ([0x20, 0x00], true), ([0x20, 0x01, 0x00], false),
    ([0x20, 0x01, 0x01, 0xFF], false), ([0x20, 0x01, 0x02], true),
    ([0x20, 0x01, 0x0D, 0xB7], true), ([0x20, 0x01, 0x0D, 0xB8], false),
    ([0x20, 0x01, 0x0D, 0xB9], true), ([0x20, 0x02], false), ([0x20, 0x03], true),
    ([0x3F, 0xFE], true), ([0x3F, 0xFF, 0x0F], false), ([0x3F, 0xFF, 0x10], true),
    ([0x40, 0x00], false), ([0x00, 0x64, 0xFF, 0x9B], false), ([0xFC, 0x00], false),
    ([0xFE, 0x80], false), ([0xFF, 0x02], false), ([], false),
  ]

  @Test("edges of the IPv6 networks", arguments: AddressTests.six)
  func edgesOfSix(start: [UInt8], isPublic: Bool) {
    let bytes = start + [UInt8](repeating: 0, count: 16 - start.count)
    #expect(AddressPolicy.isPublic(bytes) == isPublic)
  }

  @Test("an IPv4 address inside of an IPv6 one is never public", arguments: 0..<64 as Range<UInt64>)
  func embedded(seed: UInt64) {
    let four = RandomSource.seeded(seed).bytes(4)
    let zeros = [UInt8](repeating: 0, count: 10)
    #expect(!AddressPolicy.isPublic(zeros + [0xFF, 0xFF] + four))
    #expect(!AddressPolicy.isPublic(zeros + [0, 0] + four))
    #expect(!AddressPolicy.isPublic([0x00, 0x64, 0xFF, 0x9B] + zeros.dropLast(2) + four))
    #expect(!AddressPolicy.isPublic([0x20, 0x02] + four + zeros))
  }

  @Test("no other length is an address", arguments: [0, 1, 3, 5, 8, 15, 17])
  func lengths(count: Int) {
    let bytes = [UInt8](repeating: 0x20, count: count)
    #expect(!AddressPolicy.isPublic(bytes))
    #expect(!AddressPolicy(allowsLoopback: true).permits(bytes, isPlain: false))
  }

  @Test("development adds loopback, plain too, and nothing else")
  func loopback() {
    let policy = AddressPolicy(allowsLoopback: true)
    let one = [UInt8](repeating: 0, count: 15) + [1]
    #expect(policy.permits([127, 0, 0, 1], isPlain: true))
    #expect(policy.permits(one, isPlain: true))
    #expect(policy.permits([8, 8, 8, 8], isPlain: false))
    #expect(!policy.permits([8, 8, 8, 8], isPlain: true))
    #expect(!policy.permits([10, 0, 0, 1], isPlain: false))
    #expect(!AddressPolicy().permits(one, isPlain: false))
  }
}

/// The guard at the socket: whatever a URL says, and however libcurl reads it.
@Suite("Webhooks: the guard at the socket")
struct SocketGuardTests {
  private func post(_ url: String, addresses: AddressPolicy?) async -> (
    isRefused: Bool, error: TransferError?
  ) {
    var request = OutboundRequest(url: url, headers: [], body: [0x7B, 0x7D])
    request.connectSeconds = 3
    request.totalSeconds = 5
    request.addresses = addresses
    let notes = TransferNotes()
    request.notes = notes
    do {
      for try await _ in Transfer.post(request) {}
      return (notes.isAddressRefused, nil)
    } catch {
      return (notes.isAddressRefused, error as? TransferError)
    }
  }

  @Test(
    "no socket is opened to what is not public",
    arguments: [
      "https://127.0.0.1:9/", "https://localhost:9/", "https://2130706433:9/",
      "https://0x7f000001:9/", "https://0177.0.0.1:9/", "https://127.1:9/", "https://0:9/",
      "https://[::1]:9/", "https://[::ffff:127.0.0.1]:9/", "https://[::]:9/",
      "https://10.255.255.1:9/", "https://169.254.169.254/", "https://192.168.255.254:9/",
      "https://[64:ff9b::7f00:1]:9/", "https://[fe80::1]:9/", "https://[fd00:ec2::254]/",
      "https://user@127.0.0.1:9/", "https://8.8.8.8@127.0.0.1:9/",
    ])
  func refused(url: String) async {
    let found = await post(url, addresses: AddressPolicy())
    #expect(found.isRefused)
    #expect(found.error != nil)
  }

  @Test("plain http goes nowhere but to loopback, and there only in development")
  func plain() async {
    #expect(await post("http://127.0.0.1:9/", addresses: AddressPolicy()).isRefused)
    #expect(
      await post("http://192.168.255.254:9/", addresses: .init(allowsLoopback: true)).isRefused)
    let open = await post("http://127.0.0.1:9/", addresses: AddressPolicy(allowsLoopback: true))
    #expect(!open.isRefused)
    #expect(open.error != nil, "nobody listens there")
  }

  @Test("transfers to places of our own choice are as they were")
  func unguarded() async {
    let found = await post("http://127.0.0.1:9/", addresses: nil)
    #expect(!found.isRefused)
    #expect(found.error != nil, "nobody listens there")
  }

  @Test("a name that resolves to loopback is refused at the attempt")
  func resolved() async {
    let request = WebhookRequest(url: "https://localhost:9/", headers: [], body: [0x7B, 0x7D])
    let answer = await WebhookPost.send(request, addresses: AddressPolicy())
    #expect(answer.outcome == .failed(.addressRefused))
    #expect(answer.body.isEmpty)
  }

  @Test("a receiver that the rules do not take any more is not sent to")
  func changedRules() async throws {
    let stage = try await Stage()
    try await stage.endpoint()
    try await stage.write("UPDATE webhook_endpoint SET url = 'https://127.0.0.1:8443/'")
    try await stage.emit()
    try await stage.round()
    #expect(stage.receiver.seen.isEmpty)
    #expect(try await stage.texts("SELECT error FROM webhook_attempt") == ["address_refused"])
  }
}
