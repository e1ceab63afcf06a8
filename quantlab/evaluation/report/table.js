"use strict";
// Tables that are sorted, filtered and saved in the page. Without this script every row simply stands there.
(() => {
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const isNumber = (text) => text !== "" && !Number.isNaN(Number(text));

  // A shown number as JavaScript reads it: "−1,234.5 %" is -1234.5; a dash is nothing.
  const plain = (text) => {
    const trimmed = text.trim().replace(/\u2212/g, "-");
    if (trimmed === "\u2013") return "";
    const bare = trimmed.replace(/,/g, "").replace(/\s?%$/, "");
    return isNumber(bare) ? bare : trimmed;
  };
  const valueOf = (cell) => cell.dataset.sort ?? plain(cell.textContent);
  const button = (text) => Object.assign(document.createElement("button"), { type: "button", textContent: text });

  const recordOf = (row) => {
    const cells = [...row.cells];
    const shown = cells.map((cell) => plain(cell.textContent));
    return { row, shown, values: cells.map(valueOf), text: cells.map((cell) => cell.textContent).join(" ").toLowerCase() };
  };

  // Missing values stand last in either direction.
  const comparison = (records, column, down) => {
    const known = records.map((record) => record.values[column]).filter((value) => value !== "");
    const compare = known.every(isNumber) ? (a, b) => Number(a) - Number(b) : words.compare;
    return (a, b) => {
      const [x, y] = [a.values[column], b.values[column]];
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? compare(y, x) : compare(x, y);
    };
  };

  const TESTS = { "<": (c) => c < 0, ">": (c) => c > 0, "=": (c) => c === 0, "<=": (c) => c <= 0, ">=": (c) => c >= 0 };
  const squeezed = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

  // A term is a word that the row holds, or a comparison with what a column shows: trades>100.
  const term = (text, heads) => {
    const parts = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(text);
    const name = parts ? squeezed(parts[1]) : "";
    const exact = heads.indexOf(name);
    const column = exact >= 0 ? exact : heads.findIndex((head) => head.startsWith(name));
    if (!name || column < 0) return (record) => record.text.includes(text.toLowerCase());
    const wanted = plain(parts[3]);
    return ({ shown }) => {
      const found = shown[column];
      if (found === "") return false;
      const numbers = isNumber(found) && isNumber(wanted);
      return TESTS[parts[2]](numbers ? Number(found) - Number(wanted) : words.compare(found, wanted));
    };
  };

  const save = (name, heads, records) => {
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value);
    const lines = [heads, ...records.map((record) => record.values)].map((line) => line.map(quoted).join(","));
    const url = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const enliven = (box) => {
    const body = box.querySelector("tbody");
    if (!body) return;
    const ths = [...box.querySelectorAll("thead th")];
    const titles = ths.map((th) => th.textContent.trim());
    const heads = titles.map(squeezed);
    const records = [...body.rows].map(recordOf);
    const first = Number(box.dataset.first || records.length);
    const tools = Object.assign(document.createElement("div"), { className: "table-tools" });
    const count = document.createElement("span");
    const all = button("");
    let [hits, ordered, open] = [records, null, false];

    const draw = () => {
      const sorted = ordered ? [...hits].sort(ordered) : hits;
      const shown = open ? sorted : sorted.slice(0, first);
      body.replaceChildren(...shown.map((record) => record.row));
      count.textContent = `${shown.length.toLocaleString("en")} of ${records.length.toLocaleString("en")} rows`;
      all.hidden = hits.length <= first;
      all.textContent = open ? `Show ${first.toLocaleString("en")}` : `Show all ${hits.length.toLocaleString("en")}`;
      return sorted;
    };

    ths.forEach((th, column) => {
      if (!titles[column]) return;
      const sorter = button("");
      sorter.className = "sort";
      sorter.append(...th.childNodes);
      th.append(sorter);
      sorter.addEventListener("click", () => {
        const before = th.getAttribute("aria-sort");
        const numeric = records.some((r) => r.values[column] !== "") && records.every((r) => r.values[column] === "" || isNumber(r.values[column]));
        // What is best is mostly largest, and names are read from A on.
        const down = before ? before === "ascending" : numeric;
        ths.forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        ordered = comparison(records, column, down);
        draw();
      });
    });
    if ("filter" in box.dataset) {
      const field = Object.assign(document.createElement("input"), { type: "search", placeholder: "words, or column>number" });
      field.setAttribute("aria-label", "Filter the rows: words that a row holds, or a column's name without spaces, <, > or =, and a value");
      field.addEventListener("input", () => {
        const terms = field.value.split(/\s+/).filter(Boolean).map((text) => term(text, heads));
        hits = records.filter((record) => terms.every((holds) => holds(record)));
        draw();
      });
      tools.append(field);
    }
    count.setAttribute("role", "status");
    all.addEventListener("click", () => { open = !open; draw(); });
    tools.append(count, all);
    if (box.dataset.csv) {
      const saver = button("Save as CSV");
      saver.addEventListener("click", () => save(box.dataset.csv, titles, draw()));
      tools.append(saver);
    }
    box.prepend(tools);
    draw();
  };

  document.querySelectorAll(".sortable").forEach(enliven);
})();

// Wide tables fade where more of them is to be seen, and can be scrolled with the keyboard.
(() => {
  const hint = (box) => {
    const wide = box.scrollWidth > box.clientWidth + 1;
    const more = wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 1;
    box.classList.toggle("more", more);
    if (wide) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    const said = box.nextElementSibling?.classList.contains("swipe") ? box.nextElementSibling : null;
    if (wide && !said) box.after(Object.assign(document.createElement("p"), { className: "swipe", textContent: "scroll sideways for more \u2192" }));
    if (!wide && said) said.remove();
  };
  const boxes = [...document.querySelectorAll(".scroll")];
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => hint(target)));
  for (const box of boxes) {
    box.addEventListener("scroll", () => hint(box), { passive: true });
    sizes.observe(box);
  }
})();
