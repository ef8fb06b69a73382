// A finger on a figure scrolls the page; a mouse chooses what to enlarge.
const touched = matchMedia("(pointer: coarse)").matches;
const settings = { responsive: true, displaylogo: false, displayModeBar: touched ? false : "hover", showSendToCloud: false };

async function draw() {
  const template = JSON.parse(document.getElementById("template").textContent);
  for (const box of document.querySelectorAll(".figure")) {
    const { data, layout } = JSON.parse(box.firstElementChild.textContent);
    const own = touched ? { template, dragmode: false } : { template };
    await Plotly.newPlot(box, data, { ...layout, ...own }, settings);
    await new Promise((done) => setTimeout(done)); // what was typed or scrolled meanwhile comes first
  }
  document.body.dataset.drawn = "true";
}

function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.order === undefined ? cell.textContent : Number(cell.dataset.order);
}

function compare(a, b, sign) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // what has no number comes last, either way
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

function sort(heading) {
  const body = heading.closest("table").tBodies[0];
  const column = heading.cellIndex;
  const sign = heading.ariaSort === "ascending" ? -1 : 1;
  const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column), sign));
  for (const other of heading.parentNode.cells) other.ariaSort = null;
  heading.ariaSort = sign > 0 ? "ascending" : "descending";
  body.append(...rows);
}

for (const heading of document.querySelectorAll("th")) heading.addEventListener("click", () => sort(heading));
if (window.Plotly) draw();
