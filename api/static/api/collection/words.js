// Words of the upkeep that several pages show: how far a rollover got, how often something is done.
export const STEPS = {
  counted: gettext("counted ahead"), sealed: gettext("sealed"), verified: gettext("compared with the ledger"), moved: gettext("moved to history"),
  aggregated: gettext("daily candles"), cleaned: gettext("cleaned up"), done: gettext("done"), archived: gettext("archived"),
};
export const ROLLOVER = { open: gettext("in progress"), ...STEPS };

const UNITS = [[86_400, gettext("%s d")], [3600, gettext("%s h")], [60, gettext("%s min")], [1, gettext("%s s")]];

// Seconds in the largest unit that they are whole ones of.
export function span(seconds) {
  const [size, words] = UNITS.find(([one]) => seconds >= one && seconds % one === 0) ?? UNITS.at(-1);
  return interpolate(words, [seconds / size]);
}
