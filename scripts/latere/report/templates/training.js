// The loss of the training by epoch.
{
  const lines = [["train", "training cells", colours.blue, "solid"], ["validation", "validation cells", colours.vermilion, "dash"]];
  drawByWidth("elbo", () => draw("elbo", lines.filter(([key]) => drawn.training[key]?.length).map(([key, name, color, dash]) => ({ type: "scatter", mode: "lines", name,
    x: drawn.training[key].map((_, i) => i + 1), y: drawn.training[key], line: { color, dash, width: 2 } })), {
    height: 320, margin: { l: 70, r: 20, t: 20, b: 50 }, xaxis: { ...ruled, title: { text: "epoch" } },
    yaxis: { ...ruled, title: { text: "negative ELBO (nats per cell)" } }, legend: { x: 1, xanchor: "right", y: 1 } }));
}
