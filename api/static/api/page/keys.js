// What the keyboard does on the page; the dialog that lists it stands in the template.

// The letter of a key whatever Caps Lock and the language of the keyboard are: where Hangul is typed, that of its place.
function meant({ key, code, shiftKey }) {
  if (shiftKey) return key;
  if (/^[ -~]$/.test(key)) return key.toLowerCase();
  return /^Key[A-Z]$/.test(code) ? code.slice(3).toLowerCase() : key;
}

export class Keys {
  // `does` has an action for each key that is no move in a list.
  constructor(dialog, opener, does) {
    opener.addEventListener("click", () => dialog.showModal());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || document.querySelector("dialog[open]")) return;
      if (event.target.closest?.("input, select, textarea")) return;
      const action = event.key === "?" ? () => dialog.showModal() : does[meant(event)];
      if (!action) return;
      event.preventDefault();
      action();
    });
  }
}
