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

// Rows that have each word somewhere, and none of the words after a minus.
function filter(box) {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...box.closest("section").querySelector("tbody").rows];
  for (const row of rows) {
    const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\n");
    row.hidden = !words.every((word) => (word.length > 1 && word[0] === "-" ? !text.includes(word.slice(1)) : text.includes(word)));
  }
  box.nextElementSibling.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
}

// An exponential moving average without the pull of its first value (Kingma and Ba 2015).
function smoothed(values, weight) {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null; // not a number
    sum = weight * sum + value;
    total = weight * total + 1;
    return sum / total;
  });
}

function smooth(slider) {
  for (const box of slider.closest("section").querySelectorAll(".figure")) {
    if (!box.data) continue; // not drawn yet
    box.raw ??= box.data.map((line) => line.y);
    const lines = box.data.flatMap((line, i) => (line.meta === "smoothed" ? [i] : []));
    if (lines.length) Plotly.restyle(box, { y: lines.map((i) => smoothed(box.raw[i], Number(slider.value))) }, lines);
  }
}

for (const box of document.querySelectorAll(".filter")) box.addEventListener("input", () => filter(box));
for (const slider of document.querySelectorAll(".smoothing")) slider.addEventListener("input", () => smooth(slider));
for (const heading of document.querySelectorAll("th")) heading.addEventListener("click", () => sort(heading));
if (window.Plotly) draw();
else document.body.dataset.drawn = "true";
