// Hearing that something is new, and coming back when the server was gone.

/** Three missed beats are a loss. */
const SILENCE = 32_000;
const LONGEST_WAIT = 30_000;

/**
 * `on.state(name, seconds)` is told `connecting`, `live`, `paused` or `lost` (with the seconds until
 * the next try); `on.open()` after each connection, `on.changed()` and `on.notices()` as they come.
 */
export class Live {
  #on;
  #stream = null;
  #tries = 0;
  #timer = 0;
  #watchdog = 0;
  #resting = false;
  paused = false;

  constructor(on) {
    this.#on = on;
  }

  start() {
    this.#close();
    if (this.paused || this.#resting) return;
    if (this.#tries === 0) this.#on.state("connecting");
    const stream = new EventSource("/api/v1/live");
    this.#stream = stream;
    const heard = () => {
      clearTimeout(this.#watchdog);
      this.#watchdog = setTimeout(() => this.#lost(), SILENCE);
    };
    const opened = () => {
      heard();
      this.#tries = 0;
      this.#on.state("live");
      this.#on.open();
    };
    stream.addEventListener("open", heard);
    stream.addEventListener("ready", opened);
    stream.addEventListener("beat", heard);
    stream.addEventListener("changed", () => {
      heard();
      this.#on.changed();
    });
    stream.addEventListener("notices", () => {
      heard();
      this.#on.notices();
    });
    stream.addEventListener("bye", () => this.#lost());
    stream.addEventListener("error", () => this.#lost());
    heard();
  }

  pause(paused) {
    if (this.paused === paused) return;
    this.paused = paused;
    this.#tries = 0;
    if (paused) {
      this.#close();
      this.#on.state("paused");
    } else {
      this.start();
    }
  }

  /**
   * Nobody looks: lets the connection go. Browsers allow six to one server, over all tabs; a
   * seventh tab would wait for ever.
   */
  rest(resting) {
    if (this.#resting === resting) return;
    this.#resting = resting;
    this.#tries = 0;
    if (resting) this.#close();
    else this.start();
  }

  /** Tries at once instead of at the end of the wait. */
  now() {
    if (!this.paused && !this.#stream) this.start();
  }

  /** The page learned elsewhere that the server is gone. */
  suspect() {
    if (this.#stream) this.#lost();
  }

  #close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#stream?.close();
    this.#stream = null;
  }

  #lost() {
    this.#close();
    if (this.paused) return;
    // 1, 2, 4 .. 30 s, and a little chance, so that many pages do not come back at once.
    const wait = Math.min(LONGEST_WAIT, 1000 * 2 ** this.#tries) * (0.8 + Math.random() * 0.4);
    this.#tries = Math.min(this.#tries + 1, 10);
    this.#on.state("lost", Math.ceil(wait / 1000));
    this.#timer = setTimeout(() => this.start(), wait);
  }
}
