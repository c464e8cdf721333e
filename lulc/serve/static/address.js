// What the address says after its #: job=ID, map=ID or upload=N, and with=MAP for the second map of a comparison.

const KINDS = ["job", "map", "upload"];

// A key is "job:ID", "map:ID" or "upload:N".
export function addressOf(key, second = "") {
  const words = new URLSearchParams({ [key.slice(0, key.indexOf(":"))]: idOf(key) });
  if (second) words.set("with", second);
  return `#${words}`;
}

export const idOf = (key) => key.slice(key.indexOf(":") + 1);

export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const kind = KINDS.find((name) => words.get(name));
  return { key: kind ? `${kind}:${words.get(kind)}` : null, second: words.get("with") };
}
