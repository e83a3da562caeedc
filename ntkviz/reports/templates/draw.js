(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];
  const ink = () => getComputedStyle(document.body).color;
  const save = format => gd => Plotly.downloadImage(gd, { format, filename: gd.dataset.name, scale: format === "png" ? 2 : 1,
    width: gd._fullLayout.width, height: gd._fullLayout.height });
  const buttons = [
    { name: "png", title: "Save as PNG", icon: Plotly.Icons.camera, click: gd => save("png")(gd) },
    { name: "svg", title: "Save as SVG", icon: Plotly.Icons.disk, click: gd => save("svg")(gd) },
  ];
  for (const source of document.querySelectorAll("script[data-for]")) {
    const chart = document.getElementById(source.dataset.for), figure = JSON.parse(source.textContent);
    const layout = Object.assign(figure.layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true });
    layout.font = Object.assign(layout.font || {}, { color: ink() });
    Plotly.newPlot(chart, figure.data, layout, { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["toImage"],
      modeBarButtonsToAdd: buttons, showSendToCloud: false });
    charts.push(chart);
  }
  const recolour = colour => charts.forEach(chart => Plotly.relayout(chart, { "font.color": colour }));
  dark.addEventListener("change", () => recolour(ink()));
  window.addEventListener("beforeprint", () => charts.forEach(chart => Plotly.relayout(chart, { "font.color": "#111111", width: 660 })));
  window.addEventListener("afterprint", () => charts.forEach(chart => Plotly.relayout(chart, { "font.color": ink(), width: null, autosize: true })));
})();
