"use strict";
// Without this script the page shows the same, in the order in which it was written.
(() => {
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // What is not known stays last in both directions.
  const keyed = (row, place) => {
    const cell = row.cells[place];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.classList.contains("number") ? NaN : cell.textContent;
  };

  const before = (a, b, direction) => {
    if (typeof a === "string" || typeof b === "string") return direction * compare(String(a), String(b));
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return direction * (a - b);
  };

  const sort = (table, header) => {
    const place = header.cellIndex;
    const descending = header.getAttribute("aria-sort") === "ascending";
    const rows = Array.from(table.tBodies[0].rows, (row) => [keyed(row, place), row]);
    rows.sort((one, other) => before(one[0], other[0], descending ? -1 : 1));
    table.tBodies[0].append(...rows.map((one) => one[1]));
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("table")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header));
      header.append(button);
    }
  }
})();
