// What can go wrong with a call, in the terms that the viewer acts on.

const STATUS = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

const OF_HTTP = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  413: "OUT_OF_RANGE",
  421: "PERMISSION_DENIED",
  429: "RESOURCE_EXHAUSTED",
};

/** Statuses after which the same call may well succeed. */
const PASSING = new Set([
  "UNAVAILABLE",
  "RESOURCE_EXHAUSTED",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "ABORTED",
  "INTERNAL",
  "UNKNOWN",
  "DATA_LOSS",
]);

/** The server answered, and the answer is an error. */
export class CallError extends Error {
  constructor(status, message) {
    super(message || status);
    this.status = status;
  }

  get passing() {
    return PASSING.has(this.status);
  }

  static ofGrpc(code, message) {
    return new CallError(STATUS[code] ?? "UNKNOWN", message);
  }

  /** The error of a plain HTTP answer: `{"error": {"status", "message"}}`, or only its code. */
  static async ofHttp(response) {
    let error = {};
    try {
      error = (await response.json()).error ?? {};
    } catch {
      // No JSON: a proxy's page. The code has to do.
    }
    return new CallError(
      error.status ?? OF_HTTP[response.status] ?? "UNAVAILABLE",
      error.message ?? `HTTP ${response.status}`,
    );
  }
}

/** The wire does not work here (blocked, buffered, or not spoken by something in between): try the next one. */
export class WireBlocked extends Error {}

/** Nothing answered, or the connection broke. */
export class Disconnected extends Error {}

/** The wire was given up in the middle of a stream: go on over the next one, from where the stream stood. */
export class WireChanged extends Error {}
