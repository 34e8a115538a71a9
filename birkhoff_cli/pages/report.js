"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const tip = document.getElementById("tip");
const meaning = link => document.getElementById(link.hash.slice(1)).textContent.trim();

// A name says what it means, where it stands; without this script the link leads there.
document.addEventListener("click", event => {
  const link = event.target.closest("a.term");
  if (!link || !tip.showPopover) return;
  event.preventDefault();
  tip.textContent = meaning(link);
  tip.showPopover();
  const at = link.getBoundingClientRect();
  const below = at.bottom + tip.offsetHeight + 8 < innerHeight;
  tip.style.left = Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(8, below ? at.bottom + 4 : at.top - tip.offsetHeight - 4) + "px";
});
document.addEventListener("mouseover", event => {
  const link = event.target.closest("a.term");
  if (link && !link.title) link.title = meaning(link);
});

// Rows in the order of a column: numbers by size, what is not known last.
const value = (row, column) => row.cells[column].dataset.value;
const compare = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  heads.forEach((head, column) => all("button", head).forEach(button => button.onclick = () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = all("tbody tr", table), known = rows.filter(row => value(row, column) !== "");
    known.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
    table.tBodies[0].append(...known, ...rows.filter(row => value(row, column) === ""));
  }));
}

// A figure fills the window; Escape or the button puts it back.
const dialog = document.querySelector("dialog");
for (const link of all("a.enlarge")) link.onclick = event => {
  event.preventDefault();
  const figure = link.closest("figure").querySelector("svg"), place = figure.parentNode;
  dialog.append(figure);
  dialog.onclose = () => place.prepend(figure);
  dialog.showModal();
};

// The numbers of the page as a file of their own.
const save = document.getElementById("save");
save.href = URL.createObjectURL(new Blob([document.getElementById("numbers").textContent], { type: "application/json" }));
save.hidden = false;
