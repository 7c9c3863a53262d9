// A button beside each example, which copies it.
for (const example of document.querySelectorAll("pre[data-copy]")) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button quiet-button", textContent: gettext("Copy") });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(example.textContent);
      button.textContent = gettext("Copied");
    } catch {
      getSelection().selectAllChildren(example); // no clipboard without TLS: chosen, it is copied by hand
      button.textContent = gettext("Selected");
    }
  });
  example.before(button);
}
