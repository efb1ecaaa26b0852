internal import Dispatch

/// Threads of their own for requests that compute for milliseconds.
///
/// Swift's shared pool has a thread a core, first come, first served. A search keeps one for milliseconds; a
/// listing change or a confirmation takes a dozen short steps, and would wait behind all running searches at each
/// of them. On threads of their own both get their share of the cores from the operating system.
///
/// As many threads as cores run at once (Dispatch's own bound); what is more waits in its order.
final class SearchThreads: TaskExecutor {
  static let shared = SearchThreads()

  private let queue = DispatchQueue(label: "waypost.search", attributes: .concurrent)

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
