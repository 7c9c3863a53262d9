// Why something is missing, was refused or lies aside, in words: of the codes that the server knows (`<template
// id="reasons">`), and of the parts of a gap's reason that are joined by colons.
const known = (code) => document.querySelector("#reasons")?.content.querySelector(`[data-code="${CSS.escape(code)}"]`)?.textContent;

function more(text) {
  const [, first, last, epoch] = /^batches (\d+) to (\d+)(?: of epoch (\S+))?$/.exec(text) ?? [];
  if (!first) return inWords(text);
  return epoch ? interpolate(gettext("batches %s to %s of epoch %s"), [first, last, epoch]) : interpolate(gettext("batches %s to %s"), [first, last]);
}

// "" for what nobody knows here: what a source told in words of its own.
export function meaning(reason) {
  const at = `${reason}:`.indexOf(":"), words = known(reason.slice(0, at));
  if (!words) return "";
  return at < reason.length ? `${words}: ${more(reason.slice(at + 1).trim())}` : words;
}

export const inWords = (reason) => meaning(reason) || reason;
