// False discoveries and power of each test, by branch.
{
  const { branches, fdr, rows } = drawn.truth;

  function drawTruth() {
    const width = $("truth-figure").clientWidth, narrow = isNarrow(width);
    const label = r => plain(r.contrast) + (narrow ? "<br>" : " · ") + plain(r.group);
    const labels = unique(rows.map(label)), row = narrow ? 36 : 26, traces = [];
    [["fdp", ""], ["power", "2"]].forEach(([key, axis]) => branches.forEach((branch, i) => {
      const mine = rows.filter(r => r.branch === branch.name);  // NA is not drawn, but keeps its place in the legend
      traces.push({ type: "scatter", mode: "markers", name: plain(branch.title), legendgroup: branch.name, showlegend: !axis,
        x: mine.map(r => r[key] === null ? null : 100 * r[key]), y: mine.map(label), xaxis: "x" + axis, yaxis: "y" + (narrow ? axis : ""),
        customdata: mine.map(r => r.called), marker: { color: branchColour[branch.name], size: 10, symbol: symbols[i % symbols.length], opacity: 0.9 },
        hovertemplate: "%{y}<br>%{x:.1f} %, %{customdata} called<extra></extra>" });
    }));
    const level = { ...ruled, zeroline: false, range: [-3, 103] }, gap = narrow ? 70 / (2 * row * labels.length + 70) : 0;
    const names = { automargin: true, categoryorder: "array", categoryarray: labels, range: [labels.length - 0.5, -0.5], gridcolor: colours.pale, type: "category", ticksuffix: " ", tickfont: { size: narrow ? 11 : 13 } };
    draw("truth-figure", traces, { height: narrow ? 210 + 2 * row * labels.length : 150 + row * labels.length, margin: { l: 10, r: 20, t: 60, b: 50 },
      xaxis: { ...level, domain: narrow ? [0, 1] : [0, 0.47], anchor: "y", title: { text: "false discovery proportion (%)" } },
      xaxis2: { ...level, domain: narrow ? [0, 1] : [0.53, 1], anchor: narrow ? "y2" : "y", title: { text: "power (%)" } },
      yaxis: { ...names, domain: narrow ? [0.5 + gap / 2, 1] : [0, 1] },
      ...(narrow ? { yaxis2: { ...names, domain: [0, 0.5 - gap / 2], anchor: "x2" } } : {}),
      shapes: [{ type: "line", xref: "x", yref: "y domain", x0: 100 * fdr, x1: 100 * fdr, y0: 0, y1: 1, line: { color: colours.ink, width: 1.2, dash: "dash" } }],
      annotations: [{ xref: "x", yref: "y domain", x: 100 * fdr, y: 1, yanchor: "bottom", xanchor: "left", text: "stated FDR", showarrow: false, font: { size: 12 } }],
      legend: narrow ? { orientation: "h", y: 1, yref: "container", yanchor: "top", x: 0, xref: "container" } : { orientation: "h", y: 1.0, yanchor: "bottom", x: 0.53 } });
  }

  drawByWidth("truth-figure", drawTruth);
}
