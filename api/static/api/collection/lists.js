// Lists that are told anew every few seconds: rows and cells stay the same elements, so that what is chosen, focused or
// read aloud is not taken away.

// A cell is a text, or { text, href, small, level, long, wraps, whole }: `long` is a sentence, `wraps` a text that may;
// of a `whole` one what is small is part of the link.
function told(cell) {
  return typeof cell === "object" && cell !== null ? cell : { text: cell };
}

export function write(place, cell) {
  const { text, href, small = "", level = "", long = false, wraps = false, whole = false } = told(cell);
  const as = JSON.stringify([text, href, small, level, long, wraps, whole]);
  if (place.dataset.as === as) return;
  place.dataset.as = as;
  place.classList.toggle("warn", level === "warn");
  place.classList.toggle("long", long);
  place.classList.toggle("wraps", wraps);
  let holder = place;
  if (href) {
    holder = place.querySelector(":scope > a") ?? document.createElement("a");
    holder.href = href;
    place.replaceChildren(holder);
  } else place.replaceChildren();
  holder.textContent = text;
  if (small) (whole ? holder : place).append(document.createTextNode(" "), Object.assign(document.createElement("small"), { textContent: small }));
}

// `rows`: [{ key, cells }] in their order.
export function fill(body, rows) {
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  rows.forEach(({ key, cells }, place) => {
    const row = known.get(key) ?? document.createElement("tr");
    known.delete(key);
    row.dataset.key = key;
    cells.forEach((cell, at) => write(row.cells[at] ?? row.insertCell(), cell));
    while (row.cells.length > cells.length) row.deleteCell(-1);
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  for (const row of known.values()) row.remove();
}

// Pairs of a term and what is told of it.
export function define(list, pairs) {
  while (list.children.length > 2 * pairs.length) list.lastElementChild.remove();
  pairs.forEach(([term, cell], place) => {
    if (!list.children[2 * place]) list.append(document.createElement("dt"), document.createElement("dd"));
    list.children[2 * place].textContent = term;
    write(list.children[2 * place + 1], cell);
  });
}
