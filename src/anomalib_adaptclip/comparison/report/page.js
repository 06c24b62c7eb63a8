"use strict";
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));

// A click on the head of a column sorts a table of figures: the largest first, the next time the smallest.
const collator = new Intl.Collator("en", { numeric: true });

function sort(table, head) {
  const text = (row) => row.cells[head.cellIndex].textContent.trim();
  const number = (row) => Number.parseFloat(text(row));
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const known = rows.filter((row) => !Number.isNaN(number(row)));
  const words = (first, second) => collator.compare(text(second), text(first));
  const numbers = (first, second) => number(second) - number(first);
  const ordered = known.length ? known.sort(numbers) : rows.sort(words);
  const order = head.ariaSort === "descending" ? "ascending" : "descending";
  if (order === "ascending") ordered.reverse();
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  head.ariaSort = order;
  table.tBodies[0].append(...ordered, ...rows.filter((row) => !ordered.includes(row))); // what is not known comes last
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[table.tHead.rows.length - 1].cells) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}
