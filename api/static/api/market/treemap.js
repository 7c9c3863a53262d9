// Rectangles whose areas are in proportion to values and which are as square as may be (the squarified treemap of Bruls,
// Huizing and van Wijk, 2000). Pure.

// Of each value, which come in descending order and are above 0, its part of the box {x, y, width, height}.
export function squarified(values, box) {
  const total = values.reduce((sum, value) => sum + value, 0);
  const rest = { ...box };
  const found = [];
  let left = total;
  while (found.length < values.length && rest.width > 0 && rest.height > 0) {
    const side = Math.min(rest.width, rest.height);
    const scale = (rest.width * rest.height) / left;
    const end = rowEnd(values, found.length, side, scale);
    const row = values.slice(found.length, end);
    const sum = row.reduce((all, value) => all + value, 0);
    const last = end === values.length;
    const thick = last ? Math.max(rest.width, rest.height) : (sum * scale) / side;
    let along = 0;
    for (const value of row) {
      const long = (value / sum) * side;
      found.push(
        rest.width >= rest.height
          ? { x: rest.x, y: rest.y + along, width: thick, height: long }
          : { x: rest.x + along, y: rest.y, width: long, height: thick },
      );
      along += long;
    }
    if (rest.width >= rest.height) [rest.x, rest.width] = [rest.x + thick, rest.width - thick];
    else [rest.y, rest.height] = [rest.y + thick, rest.height - thick];
    left -= sum;
  }
  return found;
}

// Where the row that begins at a value ends: as long as another one makes its worst rectangle no longer.
function rowEnd(values, start, side, scale) {
  let sum = 0, worst = Infinity, end = start;
  for (; end < values.length; end += 1) {
    const more = sum + values[end] * scale;
    const [most, least] = [values[start] * scale, values[end] * scale];
    const next = Math.max((side * side * most) / (more * more), (more * more) / (side * side * least));
    if (next > worst) break;
    [sum, worst] = [more, next];
  }
  return end;
}

// Groups {key, title, rows} (each row with a `turnover`) in a box, and in each its rows below a title where there is
// room: {groups: [{group, x, y, width, height, head}], tiles: [{row, x, y, width, height}]}. What traded nothing has no tile.
export function nested(groups, box, head) {
  const filled = groups
    .map((group) => {
      const rows = group.rows.filter((row) => row.turnover > 0).sort((a, b) => b.turnover - a.turnover);
      return { group, rows, sum: rows.reduce((sum, row) => sum + row.turnover, 0) };
    })
    .filter((one) => one.rows.length)
    .sort((a, b) => b.sum - a.sum);
  const places = squarified(filled.map((one) => one.sum), box);
  const found = { groups: [], tiles: [] };
  places.forEach((place, at) => {
    const titled = place.height > 3 * head && place.width > 4 * head ? head : 0;
    found.groups.push({ group: filled[at].group, ...place, head: titled });
    const inside = { x: place.x, y: place.y + titled, width: place.width, height: place.height - titled };
    squarified(filled[at].rows.map((row) => row.turnover), inside).forEach((tile, of) => found.tiles.push({ row: filled[at].rows[of], ...tile }));
  });
  return found;
}
