"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 520px)");
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();

  const painted = (trace) => {
    const tone = colour(trace.meta.tone);
    const copy = { ...trace, line: { ...trace.line, color: tone }, marker: { ...trace.marker, color: tone } };
    return trace.fill ? { ...copy, fillcolor: tone + "2e" } : copy;
  };

  const framed = (layout) => {
    const axis = { gridcolor: colour("grid"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
    const frame = {
      xaxis: {},
      yaxis: {},
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("soft") },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("line"), activecolor: colour("soft") },
      margin: narrow.matches ? { l: 8, r: 8, t: 12, b: 24 } : { l: 64, r: 12, t: 12, b: 36 },
    };
    for (const key of Object.keys(frame)) {
      if (/^[xy]axis\d*$/.test(key)) frame[key] = { ...axis, ...frame[key] };
    }
    return frame;
  };

  const config = { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d"], displayModeBar: narrow.matches ? false : "hover" };
  const show = (id, figure) => Plotly.react(id, figure.data.map(painted), framed(figure.layout), config);
  const selector = document.getElementById("symbol");

  const showPrice = () => { if (selector) show("price", charts.price[Number(selector.value)]); };
  const draw = () => {
    for (const [id, figure] of Object.entries(charts.fixed)) show(id, figure);
    showPrice();
  };

  if (selector) selector.addEventListener("change", showPrice);
  system.addEventListener("change", draw);
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  });
  draw();
})();
