package import Identity
package import Primitives
package import SQLite
internal import Synchronization

/// What conversations know of one person, when it leaves.
extension ChatDesk {
  /// Deletes every conversation of a person in the running transaction.
  ///
  /// - Returns: Those that are gone, for `stop` once the transaction has committed.
  package func deleteAll(
    of user: ID<UserKind>, on connection: Connection
  ) throws -> [ID<ConversationKind>] {
    let ids = try ConversationStore.ids(of: user, on: connection)
    for id in ids { try ConversationStore.delete(id, on: connection) }
    return ids
  }

  /// Stops the turns that still run in conversations that are gone.
  package func stop(_ conversations: [ID<ConversationKind>]) {
    for id in conversations { running.withLock { $0[id] }?.cancel(.user) }
  }
}
