internal import HTTPServer
internal import Identity
internal import Primitives
internal import Delivery

/// What happens to a signed-in user, as it happens.
struct UserEventRoutes: Sendable {
  let services: Services

  var all: [Route] {
    [Route("GET", "/v1/me/events", "balance, sessions and warnings, as SSE", handler: stream)]
  }

  func stream(_ context: Context) async throws -> Response {
    let user = try context.user()
    let last = try lastEvent(context)
    let headers = [
      (name: "Content-Type", value: "text/event-stream; charset=utf-8"),
      (name: "X-Accel-Buffering", value: "no"),
    ]
    // A look at the head must not hold a stream open.
    if context.request.method == "HEAD" { return Response(status: 200, headers: headers) }
    let expiry = UserEventRoutes.expiry(of: context.request)
    let left = max(0, (expiry ?? services.clock.now + 900_000) - services.clock.now)
    let events = services.webhooks.userEvents
    let open = try await events.open(user, after: last)
    let (accounts, login) = (services.accounts, context.login)
    return Response(
      status: 200, headers: headers,
      body: .stream { writer in
        await UserEventRoutes.write(open, to: writer, for: .milliseconds(left)) {
          login.map { accounts.hasEnded($0) } ?? false
        }
        events.close(open)
      })
  }

  /// Writes until the client leaves, the server ends, the access token expires or its login has ended.
  private static func write(
    _ open: UserEvents.Stream, to writer: StreamWriter, for life: Duration,
    hasEnded: @escaping @Sendable () -> Bool
  ) async {
    guard writer.write(Array("retry: 3000\n\n".utf8)), writer.write(balance(open.balance)) else {
      return
    }
    for event in open.backlog {
      guard writer.write(sse(event)) else { return }
    }
    // More was missed than one stream carries: the client comes again after the last of these.
    if open.isCut { return }
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for await item in open.live {
          let bytes: [UInt8]
          switch item {
          case .event(let event) where event.seq <= open.last: continue
          case .event(let event): bytes = sse(event)
          case .balance(let now): bytes = balance(now)
          }
          guard writer.write(bytes) else { return }
        }
      }
      // A comment line in every 15 s keeps proxies from cutting the stream.
      group.addTask {
        while (try? await Task.sleep(for: .seconds(15))) != nil {
          guard writer.write(Array(": keep-alive\n\n".utf8)) else { return }
        }
      }
      group.addTask {
        guard (try? await Task.sleep(for: life)) != nil else { return }
        writer.write(Array("event: end\ndata: {\"reason\":\"token_expired\"}\n\n".utf8))
      }
      // A device that was signed out must not go on seeing the balance until its token expires.
      group.addTask {
        while !hasEnded() {
          guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
        }
        writer.write(Array("event: end\ndata: {\"reason\":\"signed_out\"}\n\n".utf8))
      }
      await group.next()
      group.cancelAll()
    }
  }

  private static func sse(_ event: OutboxEvent) -> [UInt8] {
    // Between the tokens of JSON a line feed is only space.
    let data = event.payload.replacing("\n", with: " ")
    return Array("id: \(event.seq)\nevent: \(event.type)\ndata: \(data)\n\n".utf8)
  }

  private static func balance(_ now: JSON) -> [UInt8] {
    Array("event: balance\ndata: \(now.text)\n\n".utf8)
  }

  private func lastEvent(_ context: Context) throws(Refusal) -> Int64? {
    guard let header = context.request.header("last-event-id"), !header.isEmpty else { return nil }
    guard let seq = Int64(header), seq >= 0 else {
      throw Refusal(.streamExpired, "This event is not known.")
    }
    return seq
  }

  /// When the bearer's access token ends. The router has verified it: here its claim is only read again.
  private static func expiry(of request: Request) -> Timestamp? {
    let parts = (request.header("authorization") ?? "").split(separator: ".")
    guard parts.count == 3, let bytes = BytesText.bytes(base64url: parts[1]),
      let seconds = (try? JSON.parse(bytes))?["exp"]?.int,
      (0...253_402_300_799).contains(seconds)
    else { return nil }
    return Timestamp(milliseconds: seconds * 1_000)
  }
}
