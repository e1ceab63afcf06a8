"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 520px)");
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const DAY = 86400000;
  const views = {}; // by chart: days before the end that are shown (0 = all), and whether the first axis is logarithmic

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
      shapes: (layout.shapes ?? []).map((shape) => (shape.name ? { ...shape, fillcolor: colour(shape.name) + "14" } : shape)),
    };
    for (const key of Object.keys(frame)) {
      if (/^[xy]axis\d*$/.test(key)) frame[key] = { ...axis, ...frame[key] };
    }
    return frame;
  };

  // Arrays travel as base64.
  const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array };
  const numbers = (values) => {
    if (!values?.bdata) return values ?? [];
    const bytes = Uint8Array.from(atob(values.bdata), (letter) => letter.charCodeAt(0));
    return new KINDS[values.dtype](bytes.buffer);
  };

  // The layout with the last days only, every y axis fitted to what is left.
  const zoomed = (figure, view) => {
    const layout = { ...figure.layout };
    const y1 = { ...layout.yaxis, type: view.log ? "log" : "linear" };
    layout.yaxis = y1;
    if (!view.days) return layout;
    const lines = figure.data.map((trace) => ({
      axis: trace.yaxis ?? "y", x: numbers(trace.x), y: numbers(trace.y), filled: trace.fill === "tozeroy",
    }));
    const last = Math.max(...lines.map(({ x }) => x[x.length - 1]));
    const start = last - view.days * DAY;
    const edges = {};
    for (const { axis, x, y, filled } of lines) {
      const edge = (edges[axis] ??= filled ? [0, 0] : [Infinity, -Infinity]);
      for (let i = 0; i < x.length; i += 1) {
        if (x[i] < start || !Number.isFinite(y[i])) continue;
        edge[0] = Math.min(edge[0], y[i]);
        edge[1] = Math.max(edge[1], y[i]);
      }
    }
    for (const key of Object.keys(layout)) {
      if (/^xaxis\d*$/.test(key)) layout[key] = { ...layout[key], range: [start, last], autorange: false };
    }
    for (const [axis, [low, high]] of Object.entries(edges)) {
      const key = axis.replace("y", "yaxis");
      const log = key === "yaxis" && view.log;
      if (low > high || (log && low <= 0)) continue;
      const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
      const margin = 0.05 * (b - a || Math.abs(b) || 1);
      layout[key] = { ...layout[key], range: [a - margin, b + margin], autorange: false };
    }
    layout.annotations = (layout.annotations ?? []).filter(({ x }) => x >= start);
    return layout;
  };

  const config = { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["select2d", "lasso2d"], displayModeBar: narrow.matches ? false : "hover" };
  const hidden = (element) => element.closest("details:not([open])") !== null;
  const show = (id, figure) => {
    const element = document.getElementById(id);
    if (!element || hidden(element)) return; // drawn when it is opened: a hidden element has no width
    const layout = views[id] ? zoomed(figure, views[id]) : figure.layout;
    Plotly.react(element, figure.data.map(painted), framed(layout), config);
  };
  const selector = document.getElementById("symbol");
  const showPrice = () => { if (selector) show("price", charts.price[Number(selector.value)]); };
  const draw = () => {
    for (const [id, figure] of Object.entries(charts.fixed)) show(id, figure);
    showPrice();
  };

  const button = (text, pressed, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", () => act(made));
    return made;
  };
  const addZoom = (id, figure) => {
    const element = document.getElementById(id);
    if (!element) return;
    const view = (views[id] = { days: 0, log: false });
    const ends = figure.data.map((trace) => numbers(trace.x)).filter((x) => x.length > 1);
    const days = Math.max(...ends.map((x) => x[x.length - 1] - x[0])) / DAY;
    const spans = [...figure.layout.meta.zoom.filter(([, span]) => span < days), ["All", 0]];
    const tools = Object.assign(document.createElement("div"), { className: "chart-tools" });
    const ranges = spans.map(([name, span]) => button(name, span === 0, (pressed) => {
      view.days = span;
      for (const other of ranges) other.setAttribute("aria-pressed", String(other === pressed));
      show(id, figure);
    }));
    const scale = button("Log scale", false, (pressed) => {
      view.log = !view.log;
      pressed.setAttribute("aria-pressed", String(view.log));
      show(id, figure);
    });
    scale.className = "apart";
    tools.append(...(spans.length > 1 ? ranges : []), scale);
    element.before(tools);
  };
  for (const [id, figure] of Object.entries(charts.fixed)) {
    if (figure.layout.meta?.zoom) addZoom(id, figure);
  }

  // A link to a folded section opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details:not([open])");
    if (folded) folded.open = true;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const target = link && document.getElementById(link.getAttribute("href").slice(1));
    if (target?.matches("details")) target.open = true;
  });
  window.addEventListener("hashchange", reveal);

  // The contents mark the section that is read.
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.getAttribute("href").slice(1), link]));
  if (links.size) {
    const parts = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
    const bar = document.querySelector(".contents");
    let current = null;
    const mark = () => {
      const read = parts.filter((part) => part.getBoundingClientRect().top < 90).pop() ?? parts[0];
      if (read === current) return;
      current = read;
      for (const [id, link] of links) {
        if (id === read.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      const { offsetLeft, offsetWidth } = links.get(read.id);
      bar.scrollTo({ left: offsetLeft - (bar.clientWidth - offsetWidth) / 2 });
    };
    document.addEventListener("scroll", mark, { passive: true });
    mark();
  }

  document.addEventListener("toggle", ({ target }) => {
    if (!target.open) return;
    for (const chart of target.querySelectorAll(".chart")) {
      if (charts.fixed[chart.id]) show(chart.id, charts.fixed[chart.id]);
    }
  }, true);

  // On paper everything is unfolded, light and as wide as the paper.
  let before = null;
  window.addEventListener("beforeprint", () => {
    const folded = [...document.querySelectorAll("details:not([open])")];
    before = { folded, theme: root.dataset.theme };
    for (const one of folded) one.open = true;
    root.dataset.theme = "light";
    root.classList.add("printing");
    draw();
  });
  window.addEventListener("afterprint", () => {
    for (const one of before?.folded ?? []) one.open = false;
    if (before?.theme) root.dataset.theme = before.theme;
    else delete root.dataset.theme;
    root.classList.remove("printing");
    draw();
  });

  if (selector) selector.addEventListener("change", showPrice);
  system.addEventListener("change", draw);
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.dataset.theme = dark ? "light" : "dark";
    draw();
  });
  draw();
  reveal();
})();
