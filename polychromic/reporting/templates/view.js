"use strict";
(function () {
  // Curves: asked for anew while a run goes on; one panel a number, one line a run.
  const stored = document.getElementById("curve-data");
  if (!stored) return;
  const lines = JSON.parse(stored.textContent), seen = lines.map(() => null);
  const states = [...document.querySelectorAll(".state")], place = document.getElementById("panels");
  const width = 430, height = 150, left = 52, low = 132, digits = 4;
  const svg = (name, facts, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(facts)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const panel = (title) => {
    const curves = seen.map((each) => each && each.panels[title]);
    const xs = curves.flatMap((each) => each ? each[0] : []), ys = curves.flatMap((each) => each ? each[1] : []);
    const [x0, x1, y0, y1] = [xs, ys].flatMap((all) => [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))]);
    const x = (value) => left + (width - left - 6) * (x1 > x0 ? (value - x0) / (x1 - x0) : 0.5);
    const y = (value) => low - (low - 8) * (y1 > y0 ? (value - y0) / (y1 - y0) : 0.5);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
    const mark = (text, facts) => drawing.append(svg("text", { "font-size": 11, fill: "var(--muted)", ...facts }, text));
    drawing.append(svg("path", { d: `M${left} 8V${low}H${width}`, fill: "none", stroke: "var(--grid)" }));
    for (const value of new Set([y0, y1])) mark(Number(value.toPrecision(digits)), { x: left - 5, y: y(value) + 4, "text-anchor": "end" });
    mark(x0, { x: left, y: height - 3 });
    mark(`step ${x1}`, { x: width, y: height - 3, "text-anchor": "end" });
    curves.forEach((each, i) => {
      if (!each) return;
      const points = each[0].map((value, k) => `${x(value)},${y(each[1][k])}`).join(" ");
      drawing.append(svg("polyline", { points, fill: "none", stroke: lines[i].colour, "stroke-width": 1.5 }));
    });
    const figure = document.createElement("figure"), heading = document.createElement("h3");
    heading.textContent = title;
    figure.append(heading, drawing);
    return figure;
  };

  const draw = () => {
    const titles = [...new Set(seen.flatMap((each) => each ? Object.keys(each.panels) : []))];
    place.replaceChildren(...titles.map(panel));
    document.getElementById("none").hidden = titles.length > 0;
  };
  const look = async () => {
    let going = false;
    await Promise.all(lines.map(async (line, i) => {
      if (seen[i] && seen[i].done) return;
      try {
        const answer = await fetch(`/curves?at=${line.address}`);
        if (!answer.ok) throw new Error(`no curves: ${answer.status}`);
        seen[i] = await answer.json();
        states[i].textContent = seen[i].state;
      } catch (error) {
        states[i].textContent = String(error.message);
      }
      going = going || !(seen[i] && seen[i].done);
    }));
    draw();
    if (going) setTimeout(look, 3000);
  };
  look();
})();
