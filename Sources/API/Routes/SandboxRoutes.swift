internal import HTTPServer

/// The sandbox provider's page of `serve --demo`: redeems the launch token, shows the countdown, finishes.
/// It uses the public API only, as any provider would.
enum SandboxRoutes {
  static let all = [
    Route("GET", "/demo/app", "the sandbox provider's page", budget: .none) { _ in
      file("text/html; charset=utf-8", page)
    },
    Route("GET", "/demo/app.js", "its script", budget: .none) { _ in
      file("text/javascript; charset=utf-8", script)
    },
    Route("GET", "/demo/app.css", "its style", budget: .none) { _ in
      file("text/css; charset=utf-8", style)
    },
  ]

  private static func file(_ type: String, _ text: String) -> Response {
    Response(
      status: 200, headers: [(name: "Content-Type", value: type)], body: .bytes(Array(text.utf8)))
  }

  private static let page = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Sandbox trial</title>
    <link rel="stylesheet" href="/demo/app.css">
    <script type="module" src="/demo/app.js"></script>
    </head>
    <body>
    <main>
    <h1>Sandbox trial</h1>
    <p>This page stands in for a provider's app. The trial is a demo: the listing's provider does not offer it.</p>
    <p id="state" role="status">Redeeming the launch token ...</p>
    <p id="left" aria-live="off"></p>
    <p><button id="finish" disabled>Finish</button></p>
    </main>
    </body>
    </html>
    """

  private static let script = """
    const state = document.getElementById("state");
    const left = document.getElementById("left");
    const finish = document.getElementById("finish");
    const url = new URL(location.href);
    const launch = url.searchParams.get("marketplace_session");
    const back = url.searchParams.get("return_url");
    // A launch token must not stay in the address or the history.
    history.replaceState(null, "", url.pathname);
    let session = null, token = null, seq = 0, end = 0;

    async function call(path, body, headers = {}) {
      const response = await fetch(path, {
        method: "POST", body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", ...headers },
      });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.detail || answer.title);
      return answer;
    }

    const bearer = () => ({ Authorization: "Bearer " + token });

    function show(answer) {
      session = answer;
      token = answer.token || token;
      end = Date.now() + answer.remainingSeconds * 1000;
      state.textContent = "The session is " + answer.state + ".";
      const isOver = ["completed", "failed", "expired"].includes(answer.state);
      finish.disabled = isOver;
      if (isOver) {
        left.textContent = "Used " + answer.chargedMicrotokens / 1e6 + " tokens, paid by the " +
          answer.paidBy + "; " + answer.releasedMicrotokens / 1e6 + " went back.";
        clearInterval(ticking);
        clearInterval(beating);
      }
    }

    function tick() {
      if (!session || session.state !== "active") return;
      const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
      left.textContent = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0") + " left";
    }

    async function beat() {
      if (!token) return;
      seq += 1;
      const body = { seq, active: document.visibilityState === "visible" };
      show(await call("/v1/sessions/" + session.id + "/heartbeat", body, bearer()));
    }

    finish.addEventListener("click", async () => {
      const key = crypto.randomUUID();
      show(await call("/v1/sessions/" + session.id + "/complete", { outcome: "completed" },
        { ...bearer(), "Idempotency-Key": key }));
      if (back && new URL(back).origin === location.origin) {
        const link = document.createElement("a");
        link.href = back;
        link.textContent = "Back to the marketplace";
        finish.replaceWith(link);
      }
    });

    const ticking = setInterval(tick, 1000);
    const beating = setInterval(() => beat().catch((error) => { state.textContent = error.message; }), 30000);
    try {
      if (!launch) throw new Error("There is no launch token in the address.");
      show(await call("/v1/sessions/validate", { token: launch }));
      tick();
    } catch (error) {
      state.textContent = error.message;
    }
    """

  private static let style = """
    :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 36rem; margin: 12vh auto; padding: 0 1rem; }
    h1 { font-size: 1.5rem; }
    #left { font-size: 2rem; font-variant-numeric: tabular-nums; }
    button { font: inherit; padding: .5rem 1.25rem; }
    """
}
