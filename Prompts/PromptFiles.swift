package enum PromptFiles {}
