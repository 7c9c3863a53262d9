// The form of a rule on alerts shows the fields that rules of the chosen kind have.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const kind = document.querySelector("select#id_kind");
  if (!kind) return; // who may only look has no form
  const fit = () => {
    for (const field of document.querySelectorAll("[data-kinds]")) {
      field.closest(".form-row").hidden = !field.dataset.kinds.split(" ").includes(kind.value);
    }
  };
  kind.addEventListener("change", fit);
  fit();
});
