// However often something changes, it is drawn at most once for each picture of the screen.
export function painter(draw) {
  let due = 0;
  return () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      draw();
    });
  };
}

// The page's colours, which follow the browser's wish for light or dark.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function onColours(changed) {
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", changed);
}
