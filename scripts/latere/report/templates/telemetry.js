// Utilisation and power of the GPU over the time of the training.
{
  const { seconds, shares, power } = drawn.telemetry;
  const colour = [colours.blue, colours.orange, colours.green], dashes = ["solid", "dash", "dot"];
  const lines = Object.entries(shares).map(([name, y], i) => ({ type: "scatter", mode: "lines", name, x: seconds, y, yaxis: "y2", line: { color: colour[i], dash: dashes[i], width: 2 } }));
  if (power.length) lines.push({ type: "scatter", mode: "lines", name: "power", x: seconds, y: power, showlegend: false, line: { color: colours.vermilion, width: 2 } });
  drawByWidth("telemetry-figure", () => draw("telemetry-figure", lines, {
    height: 380, margin: { l: 70, r: 20, t: 30, b: 50 }, xaxis: { ...ruled, title: { text: "seconds since the start" }, anchor: "y" },
    yaxis: { ...ruled, title: { text: "power (W)" }, domain: [0, 0.4], rangemode: "tozero" },
    yaxis2: { ...ruled, title: { text: "share" }, domain: [0.5, 1], range: [0, 1.03], tickformat: ".0%" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" } }));
}
