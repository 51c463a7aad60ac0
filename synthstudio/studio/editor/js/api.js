// Requests to the studio's API. S.away: the last one reached no server.

import { onServer } from "./editor.js";

const PATIENCE_MS = 20000;

// What came: {status, data, why}; status 0: no answer, or none in time.
export async function ask(S, method, path, body = null, patience = PATIENCE_MS) {
  const headers = { "Synthstudio-User": encodeURIComponent(S.user) };
  if (body) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(S.api + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(patience) });
    const data = await answer.json().catch(() => ({}));
    S.away = false;
    return { status: answer.status, data, why: data.error?.message ?? `The server answers ${answer.status}.` };
  } catch (error) {
    S.away = error.name !== "TimeoutError";
    return { status: 0, data: {}, why: S.away ? "The server does not answer." : "The server is slow." };
  }
}

// Whether the server is there again: then everything is sent at once.
export async function pingServer(S) {
  if (S.pinging) return;
  S.pinging = true;
  await ask(S, "GET", "/me");
  S.pinging = false;
  if (!S.away && !S.stopped) onServer(S);
}
