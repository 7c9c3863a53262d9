// The indicators that the server computes, what they are called here, and the chosen ones as the address has them:
// "rsi:14,bbands:20:2", the parameters in the order of the list. Nothing is drawn here.
export const MOST = 8; // at a time

const TITLES = {
  sma: gettext("Simple moving average"), ema: gettext("Exponential moving average"), wma: gettext("Weighted moving average"),
  bbands: gettext("Bollinger bands"), vwap: gettext("Volume-weighted average price"), ichimoku: gettext("Ichimoku Kinko Hyo"),
  rsi: gettext("Relative strength index"), macd: gettext("Moving average convergence/divergence"), stoch: gettext("Stochastic oscillator"),
  cci: gettext("Commodity channel index"), atr: gettext("Average true range"), adx: gettext("Average directional movement index"),
  obv: gettext("On-balance volume"), mfi: gettext("Money flow index"),
};
const PARAMETERS = {
  period: gettext("period"), deviations: gettext("deviations"), conversion: gettext("conversion line"), base: gettext("base line"),
  span: gettext("leading span"), displacement: gettext("displacement"), fast: gettext("fast"), slow: gettext("slow"),
  signal: gettext("signal"), smooth: gettext("smoothing"),
};
const VALUES = {
  bbands_upper: gettext("upper"), bbands_middle: gettext("middle"), bbands_lower: gettext("lower"), vwap_upper: gettext("upper"),
  vwap_lower: gettext("lower"), tenkan: gettext("conversion line"), kijun: gettext("base line"), senkou_a: gettext("leading span A"),
  senkou_b: gettext("leading span B"), chikou: gettext("lagging span"), macd_signal: gettext("signal"), macd_histogram: gettext("difference"),
  stoch_k: "%K", stoch_d: "%D", plus_di: "+DI", minus_di: "−DI",
};
const SHORT = { bbands: "BB", ichimoku: gettext("Ichimoku"), stoch: "Stoch" };

export const title = (indicator) => TITLES[indicator.name] ?? indicator.title;
export const parameterName = (name) => PARAMETERS[name] ?? name;
export const valueName = (name) => VALUES[name] ?? name.toUpperCase();
export const shortName = (name) => SHORT[name] ?? name.toUpperCase();

// One of the list with its parameters, as {indicator, params, key}. Two of the same key are the same.
export const chosen = (indicator, params) => ({ indicator, params, key: [indicator.name, ...indicator.parameters.map(({ name }) => params[name])].join(":") });
export const byDefault = (indicator) => chosen(indicator, Object.fromEntries(indicator.parameters.map((one) => [one.name, one.default])));
export const label = ({ indicator, params }) => [shortName(indicator.name), indicator.parameters.map(({ name }) => params[name]).join(" ")].join(" ").trim();

export const written = (all) => all.map((one) => one.key).join(",");

// What is wrong with parameters, or null. `all` has a number for each.
export function fault(indicator, params) {
  for (const { name, least, most, whole } of indicator.parameters) {
    const value = params[name];
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value)))
      return interpolate(whole ? gettext("%(name)s is a whole number from %(least)s to %(most)s") : gettext("%(name)s is a number from %(least)s to %(most)s"), { name: parameterName(name), least, most }, true);
  }
  const [less, more] = indicator.ascending ?? [];
  return less && params[less] >= params[more] ? interpolate(gettext("%(less)s is below %(more)s"), { less: parameterName(less), more: parameterName(more) }, true) : null;
}

// The chosen ones of an address, and a word on each part that cannot be shown.
export function parsed(text, list) {
  const [found, wrong] = [[], []];
  for (const part of text.split(",").filter(Boolean)) {
    const [name, ...given] = part.split(":");
    const indicator = list.find((one) => one.name === name);
    const why = refused(indicator, given, found, part);
    if (typeof why === "string") wrong.push(`${part}: ${why}`);
    else found.push(why);
  }
  return { found, wrong };
}

function refused(indicator, given, found) {
  if (!indicator) return gettext("there is no such indicator");
  if (given.length > indicator.parameters.length) return gettext("too many parameters");
  const params = { ...byDefault(indicator).params };
  for (const [place, value] of given.entries()) {
    if (!/^\d{1,4}(\.\d{1,8})?$/.test(value)) return gettext("a parameter is no number");
    params[indicator.parameters[place].name] = Number(value);
  }
  const why = fault(indicator, params);
  if (why) return why;
  const one = chosen(indicator, params);
  if (found.some(({ key }) => key === one.key)) return gettext("it is there twice");
  return found.length < MOST ? one : interpolate(gettext("at most %s at a time"), [MOST]);
}
