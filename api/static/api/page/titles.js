// What alarms and queues are called, as the server knows it (`<template id="titles">`). Their codes stand beside.
const known = (kind, code) => document.querySelector("#titles")?.content.querySelector(`[data-${kind}="${CSS.escape(code)}"]`)?.textContent;

export const alarmTitle = (code) => known("alarm", code) ?? code;
export const queueTitle = (name) => known("queue", name) ?? name;

const named = (title, code, ...more) => [title === code ? "" : title, code, ...more].filter(Boolean).join(" · ");
export const alarmNamed = (code, subject) => named(alarmTitle(code), code, subject);
export const queueNamed = (name) => named(queueTitle(name), name);
