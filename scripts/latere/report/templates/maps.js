// Maps: a panel for each branch, as many side by side as fit. All lie in one figure, as a browser
// has few canvases for WebGL.
{
  const { branches, points, colours: ways } = drawn.maps;
  const n = points[branches[0].name].x.length;
  const kind = n > 6000 ? "scattergl" : "scatter";
  const size = n > 15000 ? 2.2 : n > 3000 ? 3.4 : 5;
  const hidden = new Set();
  const way = () => ways.find(w => w.name === $("map-colour").value);
  const coding = branch => way().same ?? way().of[branch.name];
  const mark = k => ({ color: colours.categories[k % colours.categories.length],
    at: Math.floor(k / colours.categories.length) % symbols.length });

  function drawMap() {
    const width = $("map").clientWidth - 22;  // less the margins
    // Rows of like length: four panels are two and two.
    const fit = Math.max(1, Math.floor(width / 330)), down = Math.ceil(branches.length / fit), across = Math.ceil(branches.length / down);
    const gap = 30 / width, wide = Math.min((1 - gap * (across - 1)) / across, 600 / width), panel = Math.min(560, wide * width * 0.95);
    const titles = branches.map(branch => wrap(`${branch.title}: ${branch.embedding}`, Math.floor(wide * width / 9)));
    const head = 20 * Math.max(...titles.map(lines => lines.length)) + 10, row = panel + head + 24;
    const layout = { height: down * row + 36, margin: { l: 20, r: 2, t: 28, b: 8 }, annotations: [], showlegend: false, hovermode: "closest" };
    const inner = layout.height - 36, traces = [];
    branches.forEach((branch, i) => {
      const axis = i ? String(i + 1) : "", left = (i % across) * (wide + gap), top = 1 - Math.floor(i / across) * row / inner;
      const { levels, codes } = coding(branch), at = points[branch.name];
      const byLevel = levels.map(() => ({ x: [], y: [] }));
      codes.forEach((code, k) => { byLevel[code].x.push(at.x[k]); byLevel[code].y.push(at.y[k]); });
      byLevel.forEach((cells, k) => {
        if (!cells.x.length || hidden.has(levels[k])) return;
        traces.push({ type: kind, mode: "markers", ...cells, xaxis: "x" + axis, yaxis: "y" + axis,
          marker: { size, opacity: 0.75, color: mark(k).color, symbol: symbols[mark(k).at] },
          hovertemplate: plain(levels[k]) + "<extra></extra>" });
        if (way().is_label)
          layout.annotations.push({ x: median(cells.x), y: median(cells.y), xref: "x" + axis, yref: "y" + axis,
            text: "<b>" + plain(levels[k]) + "</b>", showarrow: false, font: { size: 12 }, bgcolor: "rgba(255,255,255,0.72)", borderpad: 1 });
      });
      if (!traces.some(trace => trace.xaxis === "x" + axis))  // else the panel goes with its cells
        traces.push({ type: kind, mode: "markers", x: [null], y: [null], xaxis: "x" + axis, yaxis: "y" + axis, hoverinfo: "skip" });
      const [first, ...rest] = titles[i].map(plain);
      layout.annotations.push({ text: ["<b>" + first + "</b>", ...rest.map(line => "<b>" + line + "</b>")].join("<br>"), align: "left",
        xref: "paper", yref: "paper", x: left, y: top, xanchor: "left", yanchor: "top", showarrow: false, font: { size: 14 } });
      const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "", showline: true, linecolor: branchColour[branch.name], linewidth: 1.5, mirror: true };
      layout["xaxis" + axis] = { ...bare, domain: [left, Math.min(1, left + wide)], anchor: "y" + axis, title: { text: "UMAP 1", standoff: 4, font: { size: 11 } } };
      layout["yaxis" + axis] = { ...bare, domain: [Math.max(0, top - (panel + head) / inner), top - head / inner], anchor: "x" + axis, title: { text: "UMAP 2", standoff: 4, font: { size: 11 } } };
    });
    draw("map", traces, layout);
    $("map-note").textContent = way().is_shared ? "" : "Cluster numbers and colours of different branches are unrelated.";
  }

  function drawLegend() {
    hidden.clear();
    // Cluster 1 of one branch is not that of another, but has its colour.
    const levels = branches.map(coding).reduce((longest, of) => of.levels.length > longest.length ? of.levels : longest, []);
    $("map-legend").replaceChildren(...levels.map((level, k) => {
      const button = document.createElement("button"), sign = document.createElement("i");
      sign.style.color = mark(k).color;
      sign.textContent = signs[mark(k).at];
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(sign, level);
      button.addEventListener("click", () => {
        hidden.delete(level) || hidden.add(level);
        button.setAttribute("aria-pressed", String(!hidden.has(level)));
        drawMap();
      });
      return button;
    }));
  }

  fill($("map-colour"), ways.map(w => w.name));
  $("map-colour").addEventListener("change", () => { drawLegend(); drawMap(); });
  drawLegend();
  drawByWidth("map", drawMap);
}
