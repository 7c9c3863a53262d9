// Says under the choice of a crontab when that is, as django-celery-beat's own page does by a script within itself.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("id_crontab");
  const listed = document.getElementById("readable-crontabs");
  const help = document.querySelector(".field-crontab .help");
  if (!choice || !listed || !help) return;
  const readable = JSON.parse(listed.textContent);
  const line = document.createElement("div");
  help.append(line);
  const show = () => { line.textContent = readable[choice.value] || ""; };
  choice.addEventListener("change", show);
  show();
});
