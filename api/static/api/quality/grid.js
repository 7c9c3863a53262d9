// Days by series as a grid of letters: one stop of the tab key, arrows go from cell to cell, and up to the numbers of
// faults of the days; Enter chooses one.
export const keyOf = ({ date, symbol, feed }) => [date, symbol, feed].join(" ");

const made = (name, given) => Object.assign(document.createElement(name), given);

export class Grid {
  #table; #choose; #at = [0, 0]; #series = []; #dates = []; #chosen = "";

  constructor(table, choose) {
    [this.#table, this.#choose] = [table, choose];
    table.addEventListener("click", (event) => this.#clicked(event.target.closest("td")));
    table.addEventListener("keydown", (event) => this.#pressed(event));
  }

  show({ dates, counts, series }) {
    const focused = this.#table.contains(document.activeElement) ? this.#key(...this.#at) : null;
    [this.#dates, this.#series] = [dates, series];
    this.#table.tHead.replaceChildren(this.#days(), this.#faults(counts));
    this.#table.tBodies[0].replaceChildren(...series.map((one) => this.#row(one)));
    this.#table.hidden = !series.length;
    this.#at = this.#placeOf(focused ?? this.#chosen) ?? [0, Math.max(dates.length - 1, 0)];
    this.choose(this.#chosen);
    this.#stop(focused !== null);
  }

  // Marks the cell that is told below.
  choose(key) {
    this.#chosen = key;
    for (const cell of this.#table.querySelectorAll("[aria-selected=true]")) cell.removeAttribute("aria-selected");
    const place = this.#placeOf(key);
    if (place) this.#cell(...place).setAttribute("aria-selected", "true");
  }

  // The newest days are at the right; they are seen first.
  newest() {
    this.#table.parentElement.scrollLeft = this.#table.scrollWidth;
  }

  #days() {
    const row = made("tr");
    row.append(made("th", { textContent: gettext("Symbol") }));
    row.children[0].scope = "col";
    this.#dates.forEach((date, place) => {
      const [, month, day] = date.split("-");
      const first = place === 0 || this.#dates[place - 1].slice(5, 7) !== month;
      row.append(made("th", { textContent: first ? `${Number(month)}/${Number(day)}` : Number(day), title: date, scope: "col" }));
    });
    return row;
  }

  #faults(counts) {
    const row = made("tr");
    row.append(made("th", { textContent: gettext("Series with C or D"), scope: "row" }));
    counts.forEach(({ A, B, C, D }, place) => {
      const head = made("th", { textContent: C + D ? "" : "·", title: `A ${A} · B ${B} · C ${C} · D ${D}` });
      if (C + D) head.append(made("a", { textContent: C + D, href: this.#faultsOf(this.#dates[place]), tabIndex: -1 }));
      row.append(head);
    });
    return row;
  }

  // The map of the series that had them, on that day alone.
  #faultsOf(date) {
    const told = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries({ grade: "C,D", start: date, end: date })) told.set(name, value);
    return `?${told}`;
  }

  #row({ symbol, name, feed, grades }) {
    const row = made("tr");
    const head = made("th", { scope: "row", textContent: `${name || symbol} `, title: `${symbol} ${name} ${feed}` });
    head.append(made("small", { textContent: name ? `${symbol} ${feed}` : feed }));
    row.append(head);
    for (const grade of grades) {
      const cell = made("td", { textContent: grade === "-" ? "·" : grade, tabIndex: -1 });
      if (grade !== "-") cell.dataset.grade = grade;
      row.append(cell);
    }
    return row;
  }

  #cell(row, column) {
    if (row < 0) return this.#table.tHead.rows[1].cells[column + 1].querySelector("a");
    return this.#table.tBodies[0].rows[row]?.cells[column + 1];
  }

  #key(row, column) {
    const series = this.#series[row];
    return series ? keyOf({ ...series, date: this.#dates[column] }) : "";
  }

  #placeOf(key) {
    const row = this.#series.findIndex((one) => key.endsWith(` ${one.symbol} ${one.feed}`));
    const column = this.#dates.indexOf(key.split(" ")[0]);
    return row < 0 || column < 0 ? null : [row, column];
  }

  #stop(focus) {
    this.#table.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    const cell = this.#cell(...this.#at);
    if (cell) cell.tabIndex = 0;
    if (focus) cell?.focus();
  }

  #clicked(cell) {
    if (!cell) return;
    this.#at = [cell.parentElement.sectionRowIndex, cell.cellIndex - 1];
    this.#stop(true);
    this.#open();
  }

  #open() {
    const [row, column] = this.#at;
    if (row < 0 || !this.#cell(row, column)?.dataset.grade) return;
    const { symbol, name, feed } = this.#series[row];
    this.#choose({ symbol, name, feed, date: this.#dates[column] });
  }

  #pressed(event) {
    const [row, column] = this.#at;
    const [rows, columns] = [this.#series.length - 1, this.#dates.length - 1];
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [event.ctrlKey ? 0 : row, 0], End: [event.ctrlKey ? rows : row, columns], PageUp: [row - 10, column], PageDown: [row + 10, column],
    };
    if (event.altKey || event.metaKey || !event.target.closest("td, thead a")) return;
    if (row < 0 && event.key === "Enter") return; // a link
    if (event.key === "Enter" || event.key === " ") this.#open();
    else if (moves[event.key]) {
      const [down, across] = moves[event.key];
      const next = [Math.min(Math.max(down, 0), rows), Math.min(Math.max(across, 0), columns)];
      const above = row <= 0 && down <= row && (down < 0 || row < 0); // among the numbers of faults, where a day has one
      this.#at = above && this.#cell(-1, next[1]) ? [-1, next[1]] : next;
      this.#stop(true);
    } else return;
    event.preventDefault();
  }
}
