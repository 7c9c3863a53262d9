// How far what is shown is of now: a badge beside the name of the page, and a line as of when prices are while they are
// not. The stream may be well while what it brings is old, for the workers are gone or behind.
import { dayAndTime, time } from "./format.js";

const STATES = { live: gettext("Live"), delayed: gettext("Delayed"), lost: gettext("Disconnected"), connecting: gettext("Connecting") };

export class Link {
  #badge; #away; #session; #feed = ""; #stream = "connecting"; #turned = null; #newest = new Map();

  // `session` says when trades may come.
  constructor(badge, away, session) {
    [this.#badge, this.#away, this.#session] = [badge, away, session];
  }

  follow(feed) {
    this.#feed = feed;
    this.#tell();
  }

  // The state of the stream has turned.
  turn(stream) {
    [this.#stream, this.#turned] = [stream, this.#session.now];
    document.body.dataset.stream = stream;
    this.#tell();
  }

  // What the status tells of feeds. A replay is of now while it goes on, whatever day it is of. The newest trade stays the
  // newest while what a terminal held back is sent beside it; but when a feed turns from one nature to another, its times mean
  // something else and begin anew.
  learn(feeds) {
    for (const { feed, nature, committed, event } of feeds) {
      if (!committed) continue;
      const before = this.#newest.get(feed);
      const at = Date.parse(nature === "replay" ? committed : event);
      this.#newest.set(feed, { nature, at: before?.nature === nature ? Math.max(before.at, at) : at });
    }
    this.#tell();
  }

  #tell() {
    const newest = this.#newest.has(this.#feed) ? new Date(this.#newest.get(this.#feed).at) : null;
    const late = this.#stream === "live" && newest !== null && this.#session.late(newest);
    const name = late ? "delayed" : this.#stream;
    this.#badge.dataset.state = document.body.dataset.link = name;
    say(this.#badge, STATES[name]);
    this.#away.hidden = name !== "lost" && name !== "delayed";
    if (!this.#away.hidden) say(this.#away, interpolate(gettext("%s: prices as of %s"), [STATES[name], late ? dayAndTime(newest) : time(this.#turned)]));
  }
}

// Nothing is read out twice.
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
