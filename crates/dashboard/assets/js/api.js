// Asking the server.

const PATIENCE = 25_000;

/** Why there is no answer: `offline` when nobody answered at all. */
export class ApiError extends Error {
  constructor(message, remedy, offline = false) {
    super(message);
    this.remedy = remedy;
    this.offline = offline;
  }
}

function query(parameters) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

/** The address of a question. */
export const address = (path, parameters = {}) => `/api/v1/${path}${query(parameters)}`;

/** The answer to a question; `signal` takes it back. */
export async function ask(path, parameters = {}, signal = undefined) {
  const patience = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(address(path, parameters), {
      headers: { accept: "application/json" },
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server does not answer.", "Is the program still running?", true);
  }
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server's answer cannot be read.", `It said ${response.status}.`, true);
  }
  if (!response.ok) throw new ApiError(body?.error ?? `The server said ${response.status}.`, body?.remedy);
  return body;
}
