// Questions to the server on this machine: the newest of a kind wins, and silence is told apart from a refusal.

import { during } from "./busy.js";

const running = new Map();

/** The answer; null where a newer question of this path has taken its place. Throws where no server answers. */
export async function ask(path, question) {
  return during(send(path, path, JSON.stringify(question), "application/json"));
}

/** A photograph behind a layer. */
export async function askPhoto(question, photo) {
  const target = `/api/apply?${new URLSearchParams({ question: JSON.stringify(question) })}`;
  return during(send("/api/apply", target, photo, "application/octet-stream"));
}

async function send(key, target, body, type) {
  running.get(key)?.abort();
  const control = new AbortController();
  running.set(key, control);
  try {
    const response = await fetch(target, { method: "POST", headers: { "Content-Type": type }, body, signal: control.signal });
    return await response.json();
  } catch (error) {
    if (control.signal.aborted) return null;
    throw error;
  } finally {
    if (running.get(key) === control) running.delete(key);
  }
}
