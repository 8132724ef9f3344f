"use strict";
// Table, figures and the settings of each run. What is shown has been computed in Python; nothing is computed here.
const report = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

// Buttons of which one is pressed; `pick` is called with its value.
function choice(container, options, chosen, pick) {
  const buttons = options.map(([value, text]) => {
    const button = element("button", { textContent: text, type: "button" });
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      pick(value);
    });
    button.setAttribute("aria-pressed", String(value === chosen));
    return button;
  });
  container.replaceChildren(...buttons);
}

const view = { level: "setting", which: "last", all: false, filter: "", sort: null, descending: false };

function shownColumns(table) {
  const wanted = (column) => ["", "evaluation", view.which].includes(column.which) && (view.all || column.main);
  return table.columns.map((column, place) => ({ ...column, place })).filter(wanted);
}

// Words of the filter: `flow` is anywhere in the row; `lambda=0.05`, `f1>0.4` compare the first shown column of this name.
function accepts(row, columns, word) {
  const parts = word.match(/^([^<>=]+)(<=|>=|<|>|=)(.+)$/);
  const texts = columns.map((column) => row[column.place][0].toLowerCase());
  if (!parts) return texts.some((text) => text.includes(word));
  const [, name, sign, wanted] = parts;
  const named = (column) => [column.name, column.name.split(/[/.]/).pop()].some((one) => one.toLowerCase() === name);
  const column = columns.find(named) || columns.find((one) => one.title.toLowerCase().includes(name));
  if (!column) return false;
  const [text, value] = row[column.place];
  if (sign === "=") return text.toLowerCase() === wanted || (value !== null && String(value) === wanted);
  if (typeof value !== "number") return false;
  const limit = Number(wanted);
  return { "<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit }[sign];
}

// Rows by one column; those without a value stay behind.
function sorted(rows, place, descending) {
  const order = (one, other) => {
    const [a, b] = [one[place][1], other[place][1]];
    if (a === null || b === null) return (a === null) - (b === null);
    const sign = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return descending ? -sign : sign;
  };
  return [...rows].sort(order);
}

function cell([text, value, note], column) {
  const number = column.which && value !== null;
  const kind = number ? "value" : column.which ? "missing" : text.startsWith("failed") ? "failed" : "";
  const made = element("td", { className: kind }, text);
  if (note) made.append(element("small", { textContent: note }));
  return made;
}

function heading(column) {
  const arrow = view.sort === column.name ? (view.descending ? " ▼" : " ▲") : "";
  const button = element("button", { textContent: column.title + arrow, type: "button", title: column.name });
  button.addEventListener("click", () => {
    view.descending = view.sort === column.name ? !view.descending : Boolean(column.which);
    view.sort = column.name;
    showTable();
  });
  return element("th", { scope: "col" }, button);
}

function showTable() {
  const table = report.tables.find((one) => one.level === view.level);
  const columns = shownColumns(table);
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = table.rows.filter((row) => words.every((word) => accepts(row, columns, word)));
  const by = columns.find((column) => column.name === view.sort);
  if (by) rows = sorted(rows, by.place, view.descending);
  const body = rows.map((row) => element("tr", {}, ...columns.map((column) => cell(row[column.place], column))));
  const head = element("tr", {}, ...columns.map(heading));
  byId("table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
  byId("count").textContent = rows.length + " of " + table.rows.length + " " + view.level + "s";
}

function themed(figure) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue("--" + name).trim();
  const replaced = { ink: color("ink"), faint: color("faint") };
  const traces = figure.traces.map((trace) => ({
    ...trace, line: { ...trace.line, color: replaced[trace.line.color] || trace.line.color },
  }));
  const axis = { gridcolor: color("rule"), zerolinecolor: color("rule"), automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: color("ink"), size: 12 },
    margin: { l: 44, r: 10, t: 8, b: 40 }, xaxis: { ...axis, title: { text: figure.xlabel } },
    yaxis: { ...axis, rangemode: figure.from_zero ? "tozero" : "normal" }, showlegend: false, hovermode: "closest",
  };
  return [traces, layout];
}

function draw(plot, figure) {
  Plotly.react(plot, ...themed(figure), { responsive: true, displaylogo: false, displayModeBar: false });
}

const DASHES = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };

function legend(entries) {
  return element("p", { className: "legend" }, ...entries.map(({ label, color, dash }) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const stroke = ["ink", "faint"].includes(color) ? "var(--" + color + ")" : color;
    const look = { x1: 0, x2: 26, y1: 6, y2: 6, stroke, "stroke-width": 3, "stroke-dasharray": DASHES[dash] };
    for (const [name, value] of Object.entries(look)) line.setAttribute(name, value);
    svg.append(line);
    return element("span", {}, svg, label);
  }));
}

function showSections() {
  const drawn = new Map();
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      drawn.set(target, target.figure);
      draw(target, target.figure);
    }
  }, { rootMargin: "400px" });
  for (const { name, text, charts, ...section } of report.sections) {
    const cards = charts.map((chart) => {
      const plot = element("div", { className: "plot", figure: chart });
      seen.observe(plot);
      return element("div", { className: "chart", id: "chart-" + chart.name },
        element("h3", { textContent: chart.title }), element("p", { textContent: chart.note }), plot);
    });
    const shown = cards.length ? text : "Nothing to show: no run has these values.";
    byId("sections").append(element("section", {}, element("h2", { textContent: name }),
      element("p", { textContent: shown }), legend(section.legend), element("div", { className: "charts" }, ...cards)));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [plot, figure] of drawn) draw(plot, figure);
  });
}

function showRuns() {
  const row = ([name, text]) => element("tr", {}, element("th", { textContent: name, scope: "row" }),
    element("td", { textContent: text, className: name === "command" ? "code" : "" }));
  for (const run of report.runs) {
    const facts = element("table", {}, ...Object.entries(run.facts).map(row));
    const settings = element("table", {}, ...Object.entries(run.settings).map(row));
    byId("runs").append(element("details", {}, element("summary", { textContent: run.label + ": " + run.facts.state }),
      facts, element("details", {}, element("summary", { textContent: "all settings" }), settings)));
  }
}

function begin() {
  byId("answer").textContent = report.answer;
  byId("notes").replaceChildren(...report.notes.map((text) => element("li", { textContent: text })));
  const pick = (key) => (value) => { view[key] = value; showTable(); };
  choice(byId("level"), [["run", "runs"], ["setting", "settings"], ["model", "models"]], view.level, pick("level"));
  choice(byId("which"), [["last", "last values"], ["best", "best values"]], view.which, pick("which"));
  byId("all").addEventListener("change", (event) => pick("all")(event.target.checked));
  byId("filter").addEventListener("input", (event) => pick("filter")(event.target.value));
  showTable();
  showSections();
  showRuns();
  beginViewer(report.structures, report.drawn);
}

begin();
