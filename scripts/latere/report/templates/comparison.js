// Fold changes of two branches against each other.
{
  const { names, groups, branches } = drawn.comparison;
  const pairs = branches.flatMap((one, i) => branches.slice(i + 1).map(other => [one, other]));
  const name = ([one, other]) => `${one.title} and ${other.title}`;

  function drawFoldChanges() {
    const group = groups.find(g => g.contrast === $("fc-contrast").value && g.group === $("fc-group").value);
    const [one, other] = pairs.find(pair => name(pair) === $("fc-pair").value);
    const x = group.log2fc[one.name], y = group.log2fc[other.name];
    const marks = [["neither", colours.grey, "circle", 4], [`${one.title} only`, branchColour[one.name], "circle", 6],
      [`${other.title} only`, branchColour[other.name], "square", 6], ["both", colours.ink, "diamond", 7]];
    const category = x.map((_, k) => group.called[one.name][k] + 2 * group.called[other.name][k]);
    const extent = Math.max(1, ...x.map(Math.abs), ...y.map(Math.abs)) * 1.06;
    const traces = [{ type: "scatter", mode: "lines", x: [-extent, extent], y: [-extent, extent], hoverinfo: "skip", showlegend: false,
      line: { color: colours.grey, width: 1, dash: "dot" } }];
    marks.forEach(([words, color, symbol, size], code) => {
      const rows = category.flatMap((c, k) => c === code ? [k] : []);
      traces.push({ type: rows.length > 6000 ? "scattergl" : "scatter", mode: "markers", name: "called by " + plain(words),
        x: rows.map(k => x[k]), y: rows.map(k => y[k]), text: rows.map(k => plain(names[group.name[k]])),
        marker: { color, symbol, size, opacity: code ? 0.8 : 0.45 },
        hovertemplate: `<b>%{text}</b><br>${plain(one.title)} %{x}<br>${plain(other.title)} %{y}<extra></extra>` });
    });
    const width = $("fc").clientWidth, narrow = isNarrow(width), square = { ...ruled, range: [-extent, extent], zeroline: true };
    draw("fc", traces, { height: narrow ? width + 110 : 640, width: Math.min(840, width), margin: { l: 60, r: 10, t: 20, b: 50 },
      xaxis: { ...square, title: { text: "log2 fold change, " + plain(one.title) } },
      yaxis: { ...square, title: { text: "log2 fold change, " + plain(other.title) }, scaleanchor: "x" },
      legend: narrow ? { orientation: "h", y: -0.2, yanchor: "top", x: 0, itemsizing: "constant" } : { itemsizing: "constant" } });
    const shown = x.length;
    $("fc-note").textContent = `Each point is a gene, tested in the group ${group.group} for ${group.contrast}. On the dotted line the branches agree. ` +
      (shown < group.tested ? `Of ${group.tested.toLocaleString("en")} tested genes, ${shown.toLocaleString("en")} are drawn: all genes that a branch called, and an even choice of the others.` : `All ${shown.toLocaleString("en")} tested genes are drawn.`);
  }

  fill($("fc-pair"), pairs.map(name));
  $("fc-pair").parentElement.hidden = pairs.length < 2;
  $("fc-pair").addEventListener("change", drawFoldChanges);
  chooseTest("fc", groups, drawFoldChanges);
  drawByWidth("fc", drawFoldChanges);
}
