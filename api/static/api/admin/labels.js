// Names for what Django's scripts make without one: a reader of the screen is told what a field is for.
addEventListener("load", () => {
  // The question mark beside a filter of two lists has words and no role that may have them.
  for (const mark of document.querySelectorAll(".search-label-icon[aria-label]")) mark.setAttribute("role", "img");
  for (const field of document.querySelectorAll("select.admin-autocomplete")) {
    const words = document.querySelector(`label[for="${CSS.escape(field.id)}"]`)?.textContent.trim().replace(/:$/, "");
    const made = field.nextElementSibling?.querySelectorAll('[role="combobox"], [role="textbox"]') ?? [];
    for (const one of words ? made : []) {
      one.removeAttribute("aria-labelledby");
      one.setAttribute("aria-label", words);
    }
  }
});
