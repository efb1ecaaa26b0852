/// The texts of this folder: everything that the guide says and that a model is told.
package enum PromptFiles {
  /// The guide's sentences, by key, as JSON.
  package static var guide: String { String(decoding: PackageResources.guide_json, as: UTF8.self) }
  /// What people are asked to let a provider know, in words, as JSON.
  package static var consent: String {
    String(decoding: PackageResources.consent_json, as: UTF8.self)
  }
  /// The system prompt of the agent; its first line names its version.
  package static var system: String { String(decoding: PackageResources.system_txt, as: UTF8.self) }
}
