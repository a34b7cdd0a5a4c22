"use strict";
(function () {
  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Tables: click a heading to sort; numbers by data-value, text by itself; what is missing stays last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", "", head.textContent.trim());
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") === "descending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const value = (row) => {
          const cell = row.cells[column];
          if (cell.dataset.value === undefined) return cell.textContent.trim();
          return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
        };
        const rows = [...table.tBodies[0].rows].sort((one, other) => {
          const a = value(one), b = value(other);
          if (typeof a === "string") return (rising ? 1 : -1) * a.localeCompare(b, undefined, { numeric: true });
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
          return rising ? a - b : b - a;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
  for (const filter of document.querySelectorAll("[data-filter]")) {
    const rows = [...document.querySelector(filter.dataset.filter).tBodies[0].rows];
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    };
    filter.addEventListener("input", apply);
  }

  // Prompts: one row each, with a strip of samples for every model; opened, the samples themselves.
  const place = document.getElementById("prompt-list");
  if (!place) return;
  const { models, colours, samples } = JSON.parse(document.getElementById("data").textContent);
  const temperature = document.getElementById("temperature"), order = document.getElementById("order");
  const search = document.getElementById("search"), more = document.getElementById("more");
  const found = document.getElementById("found"), which = document.getElementById("which");
  let shown = 15;

  const groups = (set) => [...set[2].map((each) => [each[1], each[2], each[3]]), ...set[3]];
  const tally = (set) => {
    const right = new Set();
    let passed = 0, total = 0, judged = false;
    const different = new Set();
    for (const [count, status, answer] of groups(set)) {
      total += count;
      judged = judged || status !== "";
      different.add(answer);
      if (status === "passed") { passed += count; right.add(answer); }
    }
    return { passed, total, right: right.size, different: different.size, judged };
  };
  const setsAt = (prompt) => prompt.sets.filter((set) => set[1] === Number(temperature.value));

  const strip = (set) => {
    const line = make("span", "strip");
    line.style.setProperty("--c", colours[set[0]]);
    let last = null, turn = true;
    const ordered = groups(set).map((each, i) => [each, i]).sort((a, b) =>
      (b[0][1] === "passed") - (a[0][1] === "passed") || a[0][2] - b[0][2] || a[1] - b[1]);
    for (const [[count, status, answer]] of ordered) {
      for (let i = 0; i < count; i++) {
        const solid = status === "passed" || status === "";
        const cell = make("i", solid ? "" : "wrong");
        if (solid && answer !== last) { turn = !turn; if (last !== null) cell.classList.add("first"); }
        if (solid && turn) cell.classList.add("other");
        last = answer;
        line.append(cell);
      }
    }
    return line;
  };

  const open = (prompt, body) => {
    body.append(make("div", "full", prompt.prompt));
    const grid = make("div", "samples");
    for (const set of setsAt(prompt)) {
      const column = make("div"), numbers = tally(set);
      column.style.setProperty("--c", colours[set[0]]);
      const head = make("h4");
      head.append(make("span", "dot"), models[set[0]]);
      column.append(head, make("div", "small", numbers.judged
        ? `${numbers.passed} of ${numbers.total} right, ${numbers.right} different right answers`
        : `${numbers.different} different among ${numbers.total}`));
      for (const [text, count, status, , finished] of set[2]) {
        const sample = make("div", "sample " + (status === "passed" ? "right" : "wrong"));
        const content = make("div");
        content.append(make("pre", "", text === "" ? "(empty)" : text));
        if (!finished) content.append(make("span", "cut", "cut off at the limit"));
        sample.append(make("span", "count", (status === "passed" ? "✓ " : status === "absent" ? "? " : "") + count + "×"), content);
        column.append(sample);
      }
      const rest = set[3].reduce((sum, each) => sum + each[0], 0);
      if (rest) column.append(make("div", "small", `and ${rest} more in samples.jsonl`));
      grid.append(column);
    }
    body.append(grid);
  };

  const row = (prompt) => {
    const details = make("details", "prompt"), summary = make("summary"), ask = make("span", "ask");
    ask.append(make("small", "", prompt.id), prompt.prompt.replace(/\s+/g, " ").slice(0, 220));
    const strips = make("span", "strips");
    for (const set of setsAt(prompt)) {
      const numbers = tally(set);
      const count = numbers.judged ? numbers.right : numbers.different;
      strips.append(make("span", "", models[set[0]]), make("span", "tally", String(count)), strip(set));
    }
    summary.append(ask, strips);
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) { const body = make("div"); details.append(body); open(prompt, body); }
    });
    return details;
  };

  const orders = {
    spread: (prompt) => { const all = setsAt(prompt).map((set) => tally(set).right); return Math.min(...all) - Math.max(...all); },
    hard: (prompt) => setsAt(prompt).reduce((sum, set) => sum + tally(set).passed, 0),
    easy: (prompt) => -setsAt(prompt).reduce((sum, set) => sum + tally(set).passed, 0),
    file: null,
  };
  const passes = (prompt) => setsAt(prompt).map((set) => tally(set).passed > 0);
  const filters = {
    some: (prompt) => passes(prompt).some(Boolean) && !passes(prompt).every(Boolean),
    none: (prompt) => !passes(prompt).some(Boolean),
    cut: (prompt) => setsAt(prompt).some((set) => set[2].some((each) => !each[4])),
  };
  const render = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let list = samples.prompts.filter((prompt) => setsAt(prompt).length);
    if (words.length) list = list.filter((prompt) => {
      const text = (prompt.id + " " + prompt.prompt + " " + setsAt(prompt).flatMap((set) => set[2].map((each) => each[0])).join(" ")).toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (which && which.value) list = list.filter(filters[which.value]);
    const rank = orders[order.value];
    list = rank ? list.map((prompt) => [rank(prompt), prompt]).sort((a, b) => a[0] - b[0]).map((each) => each[1])
      : [...list].sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
    place.replaceChildren(...list.slice(0, shown).map(row));
    found.textContent = `${list.length} prompts`;
    more.hidden = list.length <= shown;
  };
  for (const tool of [temperature, order, which]) if (tool) tool.addEventListener("change", render);
  search.addEventListener("input", () => { shown = 15; render(); });
  more.addEventListener("click", () => { shown += 100; render(); });
  render();
})();
