internal import Cryptography
internal import Embedding
internal import Primitives

/// The tuned model that an index is made with, or why there is none.
struct IndexTuning: Sendable {
  /// Its number in the data folder, 0 for one that was never stored.
  let number: Int?
  let model: TunedModel?
  /// Why the model that is named as the one in use is not used.
  let fault: TunedModelError?
  /// What is the same for two tunings only where they rank alike.
  let identity: String

  /// The shipped ranking.
  static let none = IndexTuning(number: nil, model: nil)

  init(number: Int?, model: TunedModel?, fault: TunedModelError? = nil) {
    self.number = number
    self.model = model
    self.fault = fault
    // The document names the sum of the map's bytes. Numbers are given again after a way back.
    identity = model.map { BytesText.hex(Digest.sha256(TunedFiles.encode($0).document)) } ?? ""
  }

  /// The model in use. One that cannot be used is named with its reason, and search goes on with the shipped ranking.
  init(reading models: TunedModels) {
    do throws(TunedModelError) {
      guard let current = try models.current() else {
        self = .none
        return
      }
      if let adapter = current.model.adapter, adapter.dimension != Encoder.dimension {
        throw TunedModelError.damaged(file: TunedFiles.adapter, fault: .wrongSize)
      }
      self.init(number: current.number, model: current.model)
    } catch {
      self.init(number: nil, model: nil, fault: error)
    }
  }
}
