// One WebSocket to a feed: opened with a one-time ticket, opened again whenever it breaks.
import * as rest from "./rest.js";

const SILENCE_MS = 12_000; // heartbeats come every five seconds
const CHECK_MS = 1000, BUSY_MS = 3000; // later than that the page itself was held up
const LONGEST_PAUSE_MS = 10_000;

export class Stream {
  #feed; #on; #socket = null; #wanted = new Map(); #failures = 0; #heard = 0; #checked = 0; #spared = false; #stalled = false; #state = ""; #over = false; #admitted = false; #ready = false; #unanswered = 0; #awaited = [];

  // `on` has state(name), message(message) and ready(), which is called whenever messages begin to come (again).
  constructor(feed, on) {
    this.#feed = feed;
    this.#on = on;
    this.#open();
    this.watch = setInterval(() => this.#check(), CHECK_MS);
  }

  // The whole of what is wanted, codes by channel; the difference is sent.
  want(channels) {
    const before = this.#wanted;
    this.#wanted = new Map(Object.entries(channels).map(([channel, codes]) => [channel, new Set(codes)]));
    if (!this.#admitted) return; // all of it is sent with the first request
    const more = minus(this.#wanted, before);
    const less = minus(before, this.#wanted);
    if (more) this.#ask({ action: "subscribe", ...more });
    if (less) this.#ask({ action: "unsubscribe", ...less });
  }

  // Waits until the server has answered all that was wanted, or cannot: what is read before that may lack what came since.
  settled() {
    return new Promise((done) => (this.#unanswered ? this.#awaited.push(done) : done()));
  }

  #ask(message) {
    this.#unanswered += 1;
    this.#send(message);
  }

  #answered(left) {
    this.#unanswered = Math.max(left, 0);
    if (!this.#unanswered) for (const done of this.#awaited.splice(0)) done();
  }

  close() {
    this.#over = true;
    clearInterval(this.watch);
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close(); // earlier, browsers complain
    else socket?.close();
  }

  async #open() {
    if (this.#over) return;
    this.#tell(this.#failures ? "lost" : "connecting");
    try {
      const { ticket } = await rest.ticket();
      if (this.#over) return;
      const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v2/stream/${this.#feed}`;
      const socket = (this.#socket = new WebSocket(address));
      this.#heard = Date.now();
      socket.onmessage = (event) => {
        if (this.#over) return;
        this.#heard = Date.now();
        for (const message of rest.parsed(event.data)) this.#take(message, socket, ticket);
      };
      socket.onclose = () => this.#again(socket);
    } catch {
      this.#again(this.#socket);
    }
  }

  #take(message, socket, ticket) {
    if (message.T === "success" && message.msg === "connected") {
      socket.send(JSON.stringify({ action: "auth", ticket }));
    } else if (message.T === "success" && message.msg === "authenticated") {
      this.#admitted = true;
      this.#send({ action: "subscribe", ...minus(this.#wanted, new Map()), forming: true, heartbeat: true, slow: "gap" });
    } else if (message.T === "subscription") {
      if (this.#ready) return this.#answered(this.#unanswered - 1);
      this.#ready = true;
      this.#failures = 0;
      this.#tell("live");
      this.#on.ready();
    } else if (message.T === "hb") {
      this.#stalled = message.stalled;
    } else {
      if (message.T === "error") this.#answered(this.#unanswered - 1);
      this.#on.message(message);
    }
    return undefined;
  }

  #check() {
    const [before, now] = [this.#checked, Date.now()];
    this.#checked = now;
    this.#spared = now - before > BUSY_MS && !this.#spared; // once: what came meanwhile still waits to be taken
    if (!this.#ready || this.#spared) return;
    const silent = now - this.#heard;
    this.#tell(this.#stalled || silent > 7000 ? "delayed" : "live");
    if (silent > SILENCE_MS) this.#socket.close();
  }

  #again(socket) {
    if (this.#over || socket !== this.#socket) return;
    this.#socket = null;
    this.#ready = this.#admitted = false;
    this.#answered(0);
    this.#failures += 1;
    this.#tell("lost");
    const longest = Math.min(500 * 2 ** this.#failures, LONGEST_PAUSE_MS);
    setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#on.state(state);
  }
}

// What one has in each channel and the other has not; null if there is nothing.
function minus(left, right) {
  const found = [...left].map(([channel, codes]) => [channel, [...codes].filter((code) => !right.get(channel)?.has(code))]);
  return found.some(([, codes]) => codes.length) ? Object.fromEntries(found) : null;
}
