import Catalog
import Primitives

/// A dozen listings with words that the tests ask for.
enum Shop {
  static func listings() throws -> [Service] { try apps() + models() }

  private static func apps() throws -> [Service] {
    [
      try listing(
        "weather-now",
        [
          "name": "Weather Now", "tagline": "Current weather for any city",
          "description": "Temperature, rain and wind by hour.", "offers": [offer(milli: 5_000)],
        ]),
      try listing(
        "storm-alert",
        [
          "name": "Storm Alert", "tagline": "Warnings of severe weather",
          "tags": ["alerts"], "offers": [offer(milli: 8_000)],
        ]),
      try listing(
        "speech-kit",
        [
          "name": "Speech Kit", "tagline": "Speech to text for calls and meetings",
          "tags": ["transcription"], "offers": [offer(meter: "minute", milli: 6)],
        ]),
      try listing(
        "voice-maker",
        [
          "name": "Voice Maker", "tagline": "Natural voices: text to speech",
          "offers": [offer(meter: "character", milli: 1)],
        ]),
      try listing(
        "translate-hub",
        [
          "name": "Translate Hub", "tagline": "Translation between ninety languages",
        ]),
      try listing(
        "calendar-sync",
        [
          "name": "Calendar Sync", "tagline": "Keeps every calendar in step",
          "providerName": "Globex Corp",
        ]),
      try listing(
        "robot-desk",
        [
          "name": "Robot Desk", "tagline": "A robot that answers invoices", "kind": "app",
        ]),
      try listing(
        "picture-studio",
        [
          "name": "Picture Studio", "tagline": "Draws an illustration from a prompt", "kind": "app",
        ]),
    ]
  }

  private static func models() throws -> [Service] {
    [
      try listing(
        "gpt-4o",
        [
          "name": "GPT-4o", "kind": "model", "providerName": "OpenAI",
          "tagline": "A model for chat", "contextWindow": 128_000,
          "inputModalities": ["text", "image"],
          "offers": [offer(meter: "inputToken", milli: 2_500)],
        ]),
      try listing(
        "gpt-4o-mini",
        [
          "name": "GPT-4o mini", "kind": "model", "providerName": "OpenAI",
          "tagline": "A smaller GPT-4o, the GPT-4o of GPT-4o models", "contextWindow": 64_000,
          "inputModalities": ["text"], "offers": [offer(meter: "inputToken", milli: 150)],
        ]),
      try listing(
        "old-oracle",
        [
          "name": "Oracle", "kind": "model", "providerName": "Mistral AI",
          "tagline": "A model for long texts", "contextWindow": 8_000,
        ]),
      try listing(
        "quiet-draft",
        [
          "name": "Quiet Weather", "tagline": "Never shown", "status": "draft",
        ]),
    ]
  }
}
