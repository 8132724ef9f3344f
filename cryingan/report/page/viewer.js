"use strict";
// Samples in three dimensions, drawn with 3Dmol.js: atoms, bonds (also those through faces of the cell) and the cell.
// Colours, radii and bonds come from Python, `drawn` (radius of a bond, colour of outlines), too: they are those of pictures.
const OUTLINE = 0.03, NEAR = 2; // Angstrom

// The eight corners of a cell whose rows are lattice vectors; bit k of the place of a corner is its step along vector k.
function cornersOf(cell) {
  const along = (bits, axis) => [0, 1, 2].reduce((sum, k) => sum + ((bits >> k) & 1) * cell[k][axis], 0);
  return [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [0, 1, 2].map((axis) => along(bits, axis)));
}

// Its twelve edges as pairs of corners.
function edgesOf(cell) {
  const corners = cornersOf(cell), edges = [];
  for (let bits = 0; bits < 8; bits += 1) {
    for (let k = 0; k < 3; k += 1) if (!((bits >> k) & 1)) edges.push([corners[bits], corners[bits | (1 << k)]]);
  }
  return edges;
}

// Halves of a bond through faces of the cell: from each atom towards the image of the other, up to the middle.
function halves(from, to, image, cell) {
  const apart = [0, 1, 2].map((axis) => to[axis] - from[axis] + image.reduce((sum, n, k) => sum + n * cell[k][axis], 0));
  return [
    [from, from.map((at, axis) => at + apart[axis] / 2)],
    [to, to.map((at, axis) => at - apart[axis] / 2)],
  ];
}

function atomsOf(drawing, species) {
  const atoms = species.map((elem, i) => {
    const [x, y, z] = [0, 1, 2].map((axis) => drawing.positions[3 * i + axis] / 100);
    return { elem, x, y, z, bonds: [], bondOrder: [], serial: i };
  });
  for (let i = 0; i < drawing.bonds.length; i += 2) {
    const [one, other] = drawing.bonds.slice(i, i + 2);
    for (const [a, b] of [[one, other], [other, one]]) {
      atoms[a].bonds.push(b);
      atoms[a].bondOrder.push(1);
    }
  }
  return atoms;
}

// How far the corners of a cell are from its middle.
function extentOf(cell) {
  const middle = [0, 1, 2].map((axis) => cell.reduce((sum, row) => sum + row[axis], 0) / 2);
  return Math.max(...cornersOf(cell).map((corner) => Math.hypot(...corner.map((at, axis) => at - middle[axis]))));
}

const point = ([x, y, z]) => ({ x, y, z });

function drawStructure(viewer, set, drawing, bond, lineColor) {
  const atoms = atomsOf(drawing, set.species);
  viewer.addModel().addAtoms(atoms);
  viewer.addModel().addAtoms(cornersOf(set.cell).map((place) => ({ elem: "X", ...point(place) }))); // centre the cell
  viewer.setStyle({ elem: "X" }, {});
  const shapes = {};
  for (const [symbol, { color, radius }] of Object.entries(set.looks)) {
    viewer.setStyle({ elem: symbol }, { sphere: { radius, color }, stick: { radius: bond, color } });
    shapes[symbol] = viewer.addShape({ color });
  }
  for (let i = 0; i < drawing.crossing.length; i += 5) {
    const [one, other, ...image] = drawing.crossing.slice(i, i + 5);
    const places = [one, other].map((n) => [atoms[n].x, atoms[n].y, atoms[n].z]);
    halves(...places, image, set.cell).forEach(([start, end], side) => {
      const symbol = set.species[side ? other : one];
      shapes[symbol].addCylinder({ start: point(start), end: point(end), radius: bond, fromCap: 1, toCap: 1 });
    });
  }
  for (const [start, end] of edgesOf(set.cell)) {
    viewer.addCylinder({ start: point(start), end: point(end), radius: 0.03, color: lineColor });
  }
}

function captionOf(set, sample, state) {
  const energy = sample.energy === null ? "" : ", " + sample.energy + " " + set.unit;
  const how = sample.reason ? ", " + sample.reason.replaceAll("_", " ") : "";
  const missing = sample[state] ? "" : state === "after" ? " (not relaxed)" : " (not drawn: its coordinates are not finite)";
  const of = set.total ? " (of " + set.total + ")" : "";
  return "sample " + sample.sample + of + " after " + set.epoch + " epochs" + energy + how + missing;
}

function beginViewer(sets, drawn) {
  const get = (id) => document.getElementById(id);
  const say = (text) => {
    get("no-structures").textContent = text;
    for (const id of ["viewer-controls", "viewer", "caption", "species"]) get(id).hidden = true;
    get("viewer-controls").style.display = get("viewer").style.display = "none";
  };
  if (!sets.length) return say("Nothing to show: no run has samples.");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  let viewer = null;
  try {
    viewer = $3Dmol.createViewer(get("viewer"), { backgroundColor: color("card") });
  } catch { viewer = null; }
  if (!viewer) return say("This browser cannot draw in three dimensions (it has no WebGL).");
  viewer.setViewStyle({ style: "outline", color: drawn.outline, width: OUTLINE });
  get("no-structures").textContent = "Ordered by energy, those without one last. Drag to turn, scroll or pinch to zoom.";
  const at = { run: 0, step: 0, state: "before" };
  let framed = "";

  function show() {
    const set = sets[at.run], sample = set.samples[at.step];
    const drawing = sample[at.state], kept = viewer.getView();
    viewer.removeAllModels();
    viewer.removeAllShapes();
    if (drawing) drawStructure(viewer, set, drawing, drawn.bond, color("faint"));
    const frame = JSON.stringify(set.cell);
    if (frame !== framed) {
      viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]); // from where the axes of the file point, not from the last cell's view
      viewer.zoomTo();
      const reach = extentOf(set.cell) + NEAR;
      viewer.setSlab(-reach, reach); // from front to back, over which atoms fade into the ground
      viewer.rotate(-90, "x"); // the third axis points up, as in the pictures
      viewer.rotate(25, "z");
      viewer.rotate(12, "vx");
      viewer.zoom(0.95);
      framed = drawing ? frame : framed;
    } else viewer.setView(kept);
    viewer.render();
    get("caption").textContent = captionOf(set, sample, at.state);
  }

  function begin(run) {
    const set = sets[run];
    Object.assign(at, { run, step: 0, state: set.samples[0].after ? "after" : "before" });
    Object.assign(get("step"), { max: set.samples.length - 1, value: 0 });
    choice(get("state"), [["before", "generated"], ["after", "relaxed"]], at.state, (state) => { at.state = state; show(); });
    get("species").replaceChildren(...[...new Set(set.species)].map((symbol) => {
      const dot = element("i");
      dot.style.background = set.looks[symbol].color;
      return element("span", {}, dot, symbol);
    }));
    show();
  }

  function step(to) {
    at.step = Math.max(0, Math.min(sets[at.run].samples.length - 1, to));
    get("step").value = at.step;
    show();
  }

  get("viewer-run").replaceChildren(...sets.map((set, i) => element("option", { value: i, textContent: set.label })));
  get("viewer-run").addEventListener("change", (event) => begin(Number(event.target.value)));
  get("step").addEventListener("input", (event) => step(Number(event.target.value)));
  get("previous").addEventListener("click", () => step(at.step - 1));
  get("next").addEventListener("click", () => step(at.step + 1));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    viewer.setBackgroundColor(color("card"));
    show();
  });
  begin(0);
}
