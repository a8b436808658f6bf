// A picture of the gallery, enlarged in a dialog.
"use strict";
(() => {
  const dialog = document.getElementById("enlarged");
  document.querySelector(".gallery").addEventListener("click", (event) => {
    const card = event.target.closest(".card button")?.closest(".card");
    if (!card) return;
    const copy = card.cloneNode(true);
    copy.querySelectorAll("[id]").forEach((element) => element.removeAttribute("id"));
    const button = copy.querySelector("button");
    const pictures = document.createElement("div");
    pictures.className = "pictures";
    pictures.append(...button.childNodes);
    button.replaceWith(pictures);
    dialog.lastElementChild.replaceChildren(copy);
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
