// One way to ask, three wires to ask over. gRPC-Web is best (binary, many entries a message, one cursor of all files);
// where it does not get through, the same request goes over server-sent events, and then over long polls.

import { CallError, Disconnected, WireBlocked, WireChanged } from "./errors.js";
import { getLogs, streamBatches } from "./grpcweb.js";
import { answers, followEvents, followPolls, listSources, pages } from "./plainhttp.js";

/** The wires in the order in which they are tried. */
export const WIRES = [
  { id: "grpc-web", label: "gRPC-Web" },
  { id: "sse", label: "SSE" },
  { id: "poll", label: "long poll" },
];

/** Over HTTP/1.1 a browser gives all tabs of an origin six connections, and a seventh tab waits in silence. */
const CROWDED = "The server does not answer. If many tabs show it, close some.";

/** Chooses the wire and keeps to it; `onFallback(wire, why)` is told when it takes the next one. */
export class Transport {
  constructor({ token, onFallback }) {
    this.token = token;
    this.onFallback = onFallback;
    this.wire = 0;
    // Once a wire has brought what is new, later failures of it are the network's and not the wire's.
    this.proven = false;
  }

  get label() {
    return WIRES[this.wire].label;
  }

  /** A live stream of batches; ends only when the server ends it. */
  follow(request, signal) {
    return this.stream(request, signal, [
      (options) => streamBatches(request, { ...options, follow: true }),
      (options) => followEvents(request, options),
      (options) => followPolls(request, options),
    ]);
  }

  /** What the files hold now. */
  page(request, signal) {
    const plain = (options) => pages(request, options);
    return this.stream(request, signal, [
      (options) => streamBatches(request, { ...options, follow: false }),
      plain,
      plain,
    ]);
  }

  /** Entries one by one, each with its own cursor; used for a few at a time. */
  async *entries(request, signal) {
    const options = { token: this.token(), signal };
    if (this.wire === 0) yield* getLogs(request, options);
    else
      for await (const batch of pages(request, options))
        for (let i = 0; i < (batch.chunk?.count ?? 0); i += 1) yield batch.chunk.entry(i);
  }

  sources(signal) {
    return listSources({ token: this.token(), signal });
  }

  async *stream(request, signal, ways) {
    let any = false;
    for (;;) {
      const wire = this.wire;
      try {
        for await (const batch of ways[wire]({ token: this.token(), signal })) {
          // The plain wires first load pages, which says nothing of whether events get through.
          if (wire === 0 || batch.events.some(({ kind }) => kind === "caughtUp")) this.proven = true;
          any = true;
          yield batch;
        }
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        if (!(await this.isBlocked(error, wire, signal)))
          throw error instanceof WireBlocked ? new Disconnected(CROWDED) : error;
        if (this.wire === wire) {
          this.wire = wire + 1;
          this.onFallback(WIRES[this.wire], error.message);
        }
        if (any) throw new WireChanged(error.message);
      }
    }
  }

  /** A wire is blocked when it says so, or when it fails from the start while the server answers otherwise. */
  async isBlocked(error, wire, signal) {
    if (wire + 1 >= WIRES.length) return false;
    if (this.wire > wire) return true;
    if (error instanceof WireBlocked) return answers(signal);
    if (error instanceof CallError) return error.status === "UNIMPLEMENTED" && wire === 0 && !this.proven;
    return error instanceof Disconnected && !this.proven && (await answers(signal));
  }
}
