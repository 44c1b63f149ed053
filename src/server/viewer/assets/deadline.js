// Reads that must not wait for ever.

/**
 * A watch over one call: `signal` aborts with the caller's signal, or when nobody called `alive` for the time it was
 * told last. The reason of its abort is `error(ms)`, made when it happens; it may take its time, and null means that
 * there is nothing wrong yet.
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
    const timer = setTimeout(async () => {
      const error = await this.error(ms);
      // Something may have come meanwhile.
      if (this.timer !== timer) return;
      if (error) this.controller.abort(error);
      else this.alive(ms);
    }, ms);
    this.timer = timer;
  }

  /** Ends the watch, and the request with it if it still runs. */
  end() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.outer?.removeEventListener("abort", this.forward);
    this.controller.abort(new DOMException("done", "AbortError"));
  }
}
