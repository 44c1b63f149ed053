// Reads that must not wait for ever.

/**
 * A watch over one call: `signal` aborts with the caller's signal, or when nobody called `alive` for the time it was
 * told last. The reason of its abort is `error(ms)`, made when it happens.
 */
export class Watch {
  constructor(outer, error) {
    this.controller = new AbortController();
    this.signal = this.controller.signal;
    this.error = error;
    this.timer = 0;
    this.outer = outer;
    this.forward = () => this.controller.abort(outer.reason);
    if (outer?.aborted) this.forward();
    else outer?.addEventListener("abort", this.forward, { once: true });
  }

  /** Something came; the next thing must come within `ms`. */
  alive(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.controller.abort(this.error(ms)), ms);
  }

  /** Ends the watch, and the request with it if it still runs. */
  end() {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.forward);
    this.controller.abort(new DOMException("done", "AbortError"));
  }
}
