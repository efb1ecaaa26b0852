#!/usr/bin/env python3
"""Composes the demo models catalog (JSON Lines) from two catalogs of facts, both of MIT repositories: models.dev
(provider x model listings) and its snapshot of OpenRouter's list. Only facts are read (names, links, limits,
modalities, features, prices); every sentence is composed here and named in `draftedFields`. Same input, same output.
Usage: compose-models.py --modelsdev FILE --openrouter FILE --out FILE
"""
import argparse
import collections
import json
import pathlib
import re
import zlib
from decimal import ROUND_HALF_UP, Decimal

TARGET, CAP, MAX_BYTES = 2700, 120, 4_200_000
NANO_PER_UNIT = 1000 * 10**9  # dollars per 1,000 tokens -> billionths of a dollar per 1,000,000 tokens
# Placeholders: a larger context; the default context that these providers' rows give to models that generate no text.
MAX_CONTEXT, FILLERS = 10_500_000, {("cloudflare-ai-gateway", 128000), ("nvidia", 128000)}
# Well known providers (models.dev folder names), taken before the others.
KNOWN = set("""openai anthropic google google-vertex google-vertex-anthropic mistral azure amazon-bedrock groq togetherai
fireworks-ai deepinfra cohere xai deepseek perplexity perplexity-agent nebius cloudflare-ai-gateway cloudflare-workers-ai
vultr scaleway ovhcloud huggingface github-models alibaba alibaba-cn moonshotai zhipuai zai minimax nvidia databricks vercel
snowflake-cortex cerebras baseten digitalocean siliconflow novita-ai sap-ai-core wandb openrouter venice helicone""".split())
# A zero price here means "in a subscription" or "not stated", never "free": such a row gets no offer.
SUBSCRIPTION = re.compile(r"coding-plan|token-plan|kimi-for-coding|gitlab|privatemode-ai|opencode-go")
# Local servers; models of no kind listed here (detectors, protein folding ...); unfit for a demo; wrong in the source.
UNFIT = re.compile(r"^lmstudio|^atomic-chat|esmfold|bevformer|sparsedrive|streampetr|studiovoice|video-detector|distilbert|"
                   r"active-speaker|gliner|bart-large|m2m100|indictrans|smart-turn|abliterat|uncensored|nsfw|erotic|"
                   r"poe/openai/gpt-5\.4(-pro)?$")
PROVIDERS = dict(pair.split("=") for pair in re.split(r";\s*", """~anthropic=Anthropic; ~openai=OpenAI; ~google=Google;
~moonshotai=Moonshot AI; MoonshotAI=Moonshot AI; mistralai=Mistral; qwen=Qwen; microsoft=Microsoft; meta-llama=Meta;
NousResearch=Nous; Sao10k=Sao10K; rekaai=Reka AI; openrouter=OpenRouter; switchpoint=Switchpoint; undi95=Undi95; Z.ai=Z.AI;
gryphe=Gryphe; anthracite-org=Anthracite; alibaba=Alibaba; Nvidia=NVIDIA; MiniMax (minimax.io)=MiniMax;
Vertex=Google Vertex AI; Vertex (Anthropic)=Google Vertex AI (Anthropic)"""))
FAMILY_WORDS = {"gpt": "GPT", "oss": "OSS", "glm": "GLM", "deepseek": "DeepSeek", "minimax": "MiniMax", "mimo": "MiMo"}
NOUNS = {"text": "text", "image": "images", "audio": "audio", "video": "video", "file": "files", "embedding": "vectors"}
ABILITIES = {"functionCalling": "function calling", "reasoning": "reasoning", "vision": "vision",
             "structuredOutputs": "structured output", "jsonMode": "JSON mode"}
SHORT = {"Reranking", "Moderation", "Speech to text", "Text to speech"}  # kinds whose text output is not prose
SIZES = ((900_000, "very long "), (128_000, "long "), (8_000, ""), (0, "short "))
# What a model is for, told from its own path and name (never from the provider's).
SAYS = {key: re.compile(pattern).search for key, pattern in {
    "Reranking": "rerank", "Embeddings": r"embed|(^|[/-])bge-|minilm|mpnet|(^|[/-])e5-|gte-large|voyage-",
    "Moderation": "guard|moderation|content-safety", "speak": "tts|melotts|deepgram/aura|orpheus|elevenlabs|magpie",
    "hear": "whisper|transcribe|-stt|asr-|deepgram/nova|voxtral", "music": "music|lyria|stable-audio",
    "audio": "audio|omni|realtime|voice|lyria|livetranslate", "draw": "image|banana|flux|imagen",
    "code": r"cod(er|ex|estral|ing)|(^|[/ -])code([ -]|$)|devstral|codellama|grok-build|(^|/)v0|morph-v"}.items()}
# category = names of such a model | task sentences
WORDS = {line.split(" = ")[0]: [part.split("; ") for part in line.split(" = ")[1].split(" | ")] for line in """
Text generation = language model; text model; chat model | Use it to write, summarise and answer questions.; Good for chat \
assistants, drafting, summaries and question answering.; It can draft emails, translate and condense texts.
Vision language models = vision language model; multimodal language model | Use it to describe pictures, read charts and \
answer questions about images.; Ask about a photo, screenshot or diagram and get an answer in words.
Image generation = image generation model; picture generator | Use it to generate pictures from a text description.
Video generation = video generation model; video generator | Use it to generate short video clips from a description.
Speech to text = speech to text model; speech recognition model | Use it to turn recorded speech into a written transcript.
Text to speech = text to speech model; speech synthesis model; voice model | Use it to read text aloud as spoken audio.
Embeddings = embedding model; text embedding model | Use it for semantic search, clustering and finding similar texts.
Reasoning models = reasoning model | It thinks before it answers, which suits maths, planning and multi-step problems.; \
Suited to hard questions that need several steps of thought, such as analysis, maths or planning.
Code models = code model; coding model | Use it to write, explain, review and fix program code.; Good for coding assistants.
Reranking = reranking model; reranker | Use it to sort search results by how well they answer the query.
Moderation = moderation model; content safety model | Use it to check prompts and answers for unsafe content.
music = music generation model | Use it to compose music or sound from a text description.
animate = image-to-video model | Use it to turn a still picture into a short video clip.""".strip().split("\n")}


class Facts:
    """What one source row states, put into the catalog's terms."""
    def __init__(self, row):
        listed = row["id"].startswith("md-")
        self.row, self.folder = row, row["upstreamId"].split("/")[0] if listed else "openrouter"
        self.name = re.sub(r"^[A-Za-z][\w.-]*/(?=[A-Za-z])", "", re.sub(r"^[\w.~ -]{2,20}: ", "", row["name"].strip()))
        self.words = f"{row['upstreamId'].split('/', 1)[-1] if listed else row['upstreamId']} {self.name}".lower()
        self.ins, self.outs = ({"file" if m == "pdf" else m for m in row[k]} for k in ("inputModalities", "outputModalities"))
        self.categories = self.find_categories()
        if self.categories == ["Embeddings"]:
            self.outs = {"embedding"}
        if self.ins == self.outs == {"text"}:  # a speech model listed as text only is set right by its name
            self.ins = {"audio"} if self.categories == ["Speech to text"] else self.ins
            self.outs = {"audio"} if self.categories == ["Text to speech"] else self.outs

    def find_categories(self):
        """One or two categories, from the modalities, features and name."""
        ins, outs, writes = self.ins, self.outs, "text" in self.outs
        says = {key for key, search in SAYS.items() if search(self.words)}
        vision = ["Vision language models"] * ("image" in ins)
        hears = vision or ["Speech to text" if "audio" in ins else "Text generation"]
        rules = [(name in says, [name]) for name in ("Reranking", "Embeddings", "Moderation")] + [
            ("video" in outs, ["Video generation"]),
            ("speak" in says or outs == {"audio"}, ["Text to speech"]),
            (ins == {"audio"} or "hear" in says, ["Speech to text"] + ["Text generation"] * ("voxtral" in self.words)),
            ("image" in outs and (not writes or "draw" in says), ["Image generation"] + vision * writes),
            ("audio" in outs and "audio" in says, ["Text to speech"] + hears * ("music" not in says))]
        written = ["Code models"] * ("code" in says) + vision or ["Text generation"]
        written += ["Reasoning models"] * bool(self.row["features"].get("reasoning"))
        return next((found for holds, found in rules if holds), written)[:2]

    def family(self):
        """The row's family where the model's own name bears it out (the source guesses some: "ling" for Kling)."""
        name = re.sub(r"-free$", "", self.row.get("modelFamily", ""))
        first = re.split(r"[-. ]", name)[0].lower()
        proof = r"(?<![a-z])" + (r"o\d" if first == "o" else re.escape(first))
        return name if self.row["id"].startswith("or-") or first != "agi" and re.search(proof, self.words) else ""

    def limits(self):
        """Context window and output limit, without placeholders and without output limits where no text is written."""
        context, most = self.row.get("contextWindow"), self.row.get("maxOutputTokens")
        writes = "text" in self.outs and self.categories[0] not in SHORT
        placeholder = (context or 0) > MAX_CONTEXT or not writes and (self.folder, context) in FILLERS
        return None if placeholder else context, most if writes and not placeholder else None

    def offers(self):
        """The pay-per-token offer, computed exactly from the decimal text of the source."""
        keys = {"inputToken": "pricePer1KPromptTokens", "outputToken": "pricePer1KCompletionTokens"}
        parts = [(meter, self.row.get(key)) for meter, key in keys.items()]
        free = all(price == 0 for _, price in parts)
        if any(price is None or price < 0 for _, price in parts) or free and SUBSCRIPTION.search(self.folder):
            return None
        prices = [{"meter": meter, "per": 1_000_000, "amountNano": int((price * NANO_PER_UNIT).quantize(1, ROUND_HALF_UP)),
                   "currency": "USD"} for meter, price in parts]
        return [{"id": "usage", "name": "Free" if free else "Pay per token", "plan": "free" if free else "usage", "prices": prices}]

    def tags(self, family, context):
        row, music = self.row, "Text to speech" in self.categories and SAYS["music"](self.words)
        has = {"open-weights": row["features"].get("openWeights"), "long-context": (context or 0) >= 200_000, "music": music,
               "audio-input": "audio" in self.ins, "video-input": "video" in self.ins,
               "beta": row.get("status") in {"alpha", "beta"}, "openrouter": row["id"].startswith("or-")}
        return [re.sub(r"[^a-z0-9.]+", "-", family.lower())][:bool(family)] + [tag for tag, yes in has.items() if yes]


def compose(facts):
    row, (context, most), family = facts.row, facts.limits(), facts.family()
    links = {k: re.sub(r"\?utm_[^#]*", "", row[k]) for k in ("docsUrl", "website") if row.get(k, "").startswith("https://")}
    days = {k: row[k] for k in ("releaseDate", "lastUpdated") if re.fullmatch(r"20\d\d-\d\d-\d\d", row.get(k, ""))}
    out = {"id": re.sub(r"^or-", "openrouter-", re.sub(r"^md-", "", row["id"])), "name": facts.name,
           "providerName": PROVIDERS.get(row["providerName"], row["providerName"]), "kind": "model", "tagline": "",
           "description": "", "draftedFields": ["tagline", "description"], "categories": facts.categories,
           "tags": facts.tags(family, context), "modelFamily": family or None, "baseModel": row.get("baseModel"),
           "contextWindow": context, "maxOutputTokens": most, "inputModalities": [m for m in NOUNS if m in facts.ins],
           "outputModalities": [m for m in NOUNS if m in facts.outs], "openWeights": row["features"].get("openWeights"),
           "features": {k: v for k, v in row["features"].items() if k != "openWeights"}, "authType": "apiKey",
           "apiCompatibility": row.get("apiCompatibility"), "docsUrl": links.get("docsUrl"), "websiteUrl": links.get("website"),
           "releasedAt": days.get("releaseDate"), "lastUpdatedAt": days.get("lastUpdated"), "offers": facts.offers(),
           "source": row["source"], "sourceId": row["id"], "sourceLicense": "MIT"}
    out = {key: value for key, value in out.items() if value is not None}
    out["tagline"], out["description"] = Prose(out).tagline(), Prose(out).description()
    return out


class Prose:
    """The drafted text of one catalog row; a hash of its id chooses the wording, so that rows do not read alike."""
    def __init__(self, out):
        self.out, name, first = out, out["name"].lower(), out["categories"][0]
        self.topic = "music" if "music" in out["tags"] else "animate" if re.search("i2v|image-to-video", name) else first
        self.thinks = "Reasoning models" in out["categories"][1:]
        self.through = " through OpenRouter" * ("openrouter" in out["tags"] and out["providerName"] != "OpenRouter")
        context = 0 if re.search("Image|Video|Speech|speech", first) else out.get("contextWindow", 0)
        size = next(word for least, word in SIZES if context >= least)
        self.context = f"{size}context of {context:,} tokens" if context else ""
        chat = "text" in out["outputModalities"] and (first not in SHORT or first == "Text to speech")
        self.can = [words for key, words in ABILITIES.items() if chat and out["features"].get(key)]

    def pick(self, options, salt):
        return options[zlib.crc32(f"{salt}:{self.out['id']}".encode()) % len(options)]

    def join(self, words):
        return re.sub(r", ([^,]*)$", r" and \1", ", ".join(words))

    def tagline(self):
        kind = "reasoning " * self.thinks + self.pick(WORDS[self.topic][0], "tagline")
        line = f"{kind[0].upper()}{kind[1:]} {'from' if self.through else 'on'} {self.out['providerName']}{self.through}"
        for extra in [self.context, *self.can[:3], "open weights" * self.out.get("openWeights", False)]:
            line += f", {extra}" if extra and len(line) + len(extra) + 2 <= 120 else ""
        return line

    def description(self):
        """Two to four short sentences: what it is, what it takes and gives, what it can do, what it is for."""
        out, pick, context = self.out, self.pick, self.context
        kind = "reasoning " * self.thinks + pick(WORDS[self.topic][0], "kind")
        kind = ("an " if kind[0] in "aeiou" else "a ") + kind
        by = f"from {out['providerName']}{self.through}" if self.through else f"offered by {out['providerName']}"
        family = [FAMILY_WORDS.get(w, w[:1].upper() + w[1:]) for w in out.get("modelFamily", "").split("-")]
        kind += f" of the {' '.join(family)} family" * bool(family[0])
        ins, outs = (self.join([NOUNS[m] for m in out[k]]) for k in ("inputModalities", "outputModalities"))
        span = pick([", with a {}", "; it has a {}", " within a {}"], "span").format(context) if context else ""
        said = [pick([f"{out['name']} is {kind} {by}.", f"A{kind[1:]}, {by}."], "what"),
                pick(["It takes {} and gives {}", "Input is {}, output is {}", "Send it {} and it returns {}"],
                     "io").format(ins, outs) + span + "."]
        opened, can = out.get("openWeights", False), pick(["It supports", "Abilities include", "It offers"], "can")
        said += [f"{can} {self.join(self.can)}{', with open weights' * opened}."] * bool(self.can)
        said += ["Its weights are open."] * (opened and not self.can)
        tasks = WORDS["Reasoning models"][1] * self.thinks + WORDS[self.topic][1]
        said.insert(pick([1, len(said), len(said)], "order"), pick(tasks, "task"))
        return " ".join(said)


def candidates(rows):
    """models.dev rows by preference: special kinds (few, so all, whatever the price), well known providers, the rest."""
    turns, ordered = collections.Counter(), []
    for row in sorted(rows, key=lambda r: (r["releaseDate"], r["id"]), reverse=True):
        facts = Facts(row)
        special = (SHORT | {"Embeddings"}) & set(facts.categories) or facts.outs - {"text", "file"} or "audio" in facts.ins
        stated = row.get("contextWindow") or row.get("pricePer1KPromptTokens") is not None
        usable = stated and row.get("status") != "deprecated" and not SUBSCRIPTION.search(facts.folder)
        if not UNFIT.search(row["upstreamId"].lower()) and (special or usable):
            turns[facts.folder] += 1  # the providers of one class take turns, newest models first
            ordered.append(((not special, facts.folder not in KNOWN, turns[facts.folder], row["id"]), facts))
    return [facts for _, facts in sorted(ordered, key=lambda pair: pair[0])]


def select(modelsdev, openrouter):
    taken, counts = {}, collections.Counter()
    for facts in [Facts(row) for row in openrouter] + candidates(modelsdev):
        out = compose(facts)
        room = counts[out["providerName"]] < CAP and len(taken) < TARGET or facts.row["id"].startswith("or-")
        if room and out["id"] not in taken:  # models.dev lists OpenRouter too: the snapshot's row is kept
            taken[out["id"]] = out
            counts[out["providerName"]] += 1
    return [taken[key] for key in sorted(taken)]


def validate(rows, size):
    assert 2600 <= len(rows) == len({r["id"] for r in rows}) <= 2800 and size <= MAX_BYTES, (len(rows), size)
    for r in rows:
        text, prices = r["tagline"] + r["description"], [p for offer in r.get("offers", []) for p in offer["prices"]]
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,127}", r["id"]) and r["name"].strip() and None not in r.values(), r
        assert len(r["tagline"]) <= 120 and 40 < len(r["description"]) <= 700 and not re.search(r"\$|  |None|\{", text), r
        assert 1 <= len(r["categories"]) <= 2 and set(r["categories"]) <= WORDS.keys() - {"music", "animate"}, r
        assert r["inputModalities"] and r["outputModalities"] and all(p["amountNano"] >= 0 for p in prices), r


def main():
    parser = argparse.ArgumentParser(description="Compose the demo models catalog.")
    for name in ("--modelsdev", "--openrouter", "--out"):
        parser.add_argument(name, required=True, type=pathlib.Path)
    args = parser.parse_args()
    tables = [path.read_text(encoding="utf-8").strip().split("\n") for path in (args.modelsdev, args.openrouter)]
    rows = select(*[[json.loads(line, parse_float=Decimal) for line in lines] for lines in tables])
    data = "".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in rows).encode()
    validate(rows, len(data))
    args.out.write_bytes(data)
    print(f"rows {len(rows)}, bytes {len(data)}")
    for values in ([r["offers"][0]["plan"] if "offers" in r else "no offer" for r in rows],
                   [c for r in rows for c in r["categories"]], [r["providerName"] for r in rows]):
        print(", ".join(f"{k} {n}" for k, n in collections.Counter(values).most_common(15)))


if __name__ == "__main__":
    main()
