// What the scripts of all sections use. Each of these draws `data.drawn.<section>`.
const data = JSON.parse(document.getElementById("data").textContent);
const colours = data.colours, branchColour = data.branches, drawn = data.drawn;
// Marks that stay apart without colour.
const symbols = ["circle", "square", "diamond", "triangle-up"], signs = ["●", "■", "◆", "▲"];
const config = { displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg" } };
const font = { family: "system-ui, -apple-system, 'Segoe UI', Arial, sans-serif", size: 13, color: colours.ink };
const ruled = { zerolinecolor: colours.grey, gridcolor: colours.pale, linecolor: colours.ink, showline: true, ticks: "outside", automargin: true };
// Plotly reads a few tags in text.
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const $ = id => document.getElementById(id);
const unique = values => [...new Set(values)];
const median = values => { const v = [...values].sort((a, b) => a - b); return v[Math.floor(v.length / 2)]; };
const digits = value => value === null ? "NA" : value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : String(+value.toPrecision(3));
const isNarrow = width => width < 700;

// Break a text between words into lines of so many letters.
function wrap(text, letters) {
  const lines = [""];
  for (const word of String(text).split(" "))
    if ((lines.at(-1) + " " + word).length > letters && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = (lines.at(-1) + " " + word).trim();
  return lines;
}

function draw(id, traces, layout) {
  const width = $(id).clientWidth;
  return Plotly.react(id, traces, { width, font, paper_bgcolor: "#fff", plot_bgcolor: "#fff", hoverlabel: { font }, ...layout },
    { ...config, displayModeBar: isNarrow(width) ? false : "hover" });
}

// Draw now, and again where another width asks for another layout.
function drawByWidth(id, redraw) {
  let last;
  const look = () => { const width = $(id).clientWidth; if (width && width !== last) { last = width; redraw(); } };
  look();
  addEventListener("resize", look);
}

function fill(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map(value => new Option(value, value)));
  if (values.includes(before)) select.value = before;
}

// Two menus, contrast and group, of those that rows have.
function chooseTest(part, rows, redraw) {
  const contrast = $(part + "-contrast"), group = $(part + "-group");
  const groups = () => fill(group, unique(rows.filter(r => r.contrast === contrast.value).map(r => r.group)));
  fill(contrast, unique(rows.map(r => r.contrast)));
  groups();
  contrast.addEventListener("change", () => { groups(); redraw(); });
  group.addEventListener("change", redraw);
}
