"use strict";
// Sorts a table by a column. The buttons are made here: without script the heads are plain text.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      // Unsorted, ascending, descending, and back to the scenario's order.
      const next = { none: "ascending", ascending: "descending", descending: "none" }[before];
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const numeric = head.classList.contains("figure");
      const compare = (a, b) => {
        const [x, y] = [a.cells[column].dataset.key, b.cells[column].dataset.key];
        // Blanks stay at the end in either direction.
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
      };
      body.append(...(next === "none" ? original : original.slice().sort(compare)));
    });
  });
}
