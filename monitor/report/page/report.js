"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const data = JSON.parse(one("#data").textContent);

  // Colours: as the system, light, dark.
  const theme = one("#theme");
  const themes = ["auto", "light", "dark"];
  const spoken = { auto: "as the system", light: "light", dark: "dark" };
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % 3];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    theme.lastElementChild.textContent = next;
    theme.setAttribute("aria-label", "Colours: " + spoken[next]);
  });

  // Paper shows everything.
  let opened = [];
  addEventListener("beforeprint", () => { opened = opened.concat(all("details:not([open])")); opened.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); opened = []; });

  // The newest window first in sight.
  const chart = one(".chart");
  if (chart) chart.parentElement.scrollLeft = chart.parentElement.scrollWidth;

  // Words beside the pointer.
  const tip = one("#tip");
  for (const target of all("[data-tip]")) {
    target.addEventListener("pointermove", (event) => {
      tip.textContent = target.dataset.tip;
      tip.hidden = false;
      tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(8, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + "px";
    });
    target.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // Candidates: filter and sort.
  const table = one("#candidates");
  if (table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const haystack = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    one("#filter").addEventListener("input", (event) => {
      const wanted = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !wanted.every((word) => haystack.get(row).includes(word));
        shown += row.hidden ? 0 : 1;
      }
      one("#count").textContent = shown + " of " + rows.length;
    });
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
    };
    for (const button of table.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => {
        const head = button.closest("th");
        const column = Number(button.dataset.sort);
        const numeric = typeof value(rows[0], column) === "number";
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : numeric && column > 0;
        for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sorted = rows.slice().sort((a, b) => {
          const x = value(a, column);
          const y = value(b, column);
          const order = numeric ? x - y : x.localeCompare(y);
          return down ? -order : order;
        });
        body.append(...sorted);
      });
    }
  }

  // The map.
  const plane = one("#plane");
  if (!plane) return;
  const card = one("#card");
  const said = one("#said");
  const here = one("#here");
  const chosen = one("#chosen");
  const count = data.ids.length;
  const whole = plane.getAttribute("viewBox").split(" ").map(Number);
  let box = whole.slice();
  let held = null;
  let at = -1;
  const layer = { reference: true, current: true, drifted: true, candidates: true };

  const kind = (row) => {
    if (!data.current[row]) return "reference";
    return data.excess[row] >= data.floor ? "drifted" : "current";
  };
  const visible = (row) => layer[kind(row)] || (layer.candidates && data.ranks[row] !== undefined);
  const x = (row) => data.places[2 * row];
  const y = (row) => data.places[2 * row + 1];
  const dot = (row) => "M" + x(row) + " " + y(row) + "h0";

  const line = (text, tag) => {
    const made = document.createElement(tag || "div");
    made.textContent = text;
    return made;
  };
  const told = (row) => {
    const lines = [data.current[row] ? "Window" : "Reference"];
    if (data.ranks[row] !== undefined) lines[0] += ", to label: number " + data.ranks[row];
    lines.push("Record " + data.ids[row]);
    if (data.classes[row] >= 0) lines.push("Class: " + data.names[data.classes[row]]);
    lines.push("Group " + (data.group[row] + 1) + ": " + data.groups[data.group[row]]);
    if (data.current[row]) lines.push(data.excess[row] + " % of the traffic around it is new");
    return lines;
  };
  const show = (row, aloud) => {
    at = row;
    here.setAttribute("d", row < 0 ? "" : dot(row));
    card.hidden = row < 0;
    if (row < 0) { said.textContent = ""; return; }
    const lines = told(row);
    const text = data.texts[row];
    card.replaceChildren(line(lines[0], "b"), ...lines.slice(1).map((words) => line(words)));
    if (text) {
      const words = line(text, "bdi");
      words.className = "text";
      card.append(words);
    }
    const screen = plane.getScreenCTM();
    const frame = plane.getBoundingClientRect();
    const left = screen.a * x(row) + screen.e - frame.left;
    const top = screen.d * y(row) + screen.f - frame.top;
    const room = plane.parentElement;
    card.style.left = Math.max(4, left + 16 + card.offsetWidth < room.clientWidth ? left + 16 : left - 16 - card.offsetWidth) + "px";
    card.style.top = Math.max(4, Math.min(top + 12, room.clientHeight - card.offsetHeight - 4)) + "px";
    if (aloud) said.textContent = lines.join(". ") + (text ? ". " + text : "");
  };

  const look = (next) => {
    const width = Math.max(whole[2] / 40, Math.min(next[2], whole[2]));
    const height = width * whole[3] / whole[2];
    box = [
      Math.max(whole[0], Math.min(next[0], whole[0] + whole[2] - width)),
      Math.max(whole[1], Math.min(next[1], whole[1] + whole[3] - height)),
      width, height,
    ];
    plane.setAttribute("viewBox", box.join(" "));
    plane.classList.toggle("zoomed", width < whole[2]);
    for (const text of plane.querySelectorAll(".names text")) {
      text.style.fontSize = width < whole[2] ? (190 * Math.sqrt(width / whole[2]) * (width / whole[2]) ** 0.4) + "px" : "";
    }
  };
  const zoom = (times, px, py) => {
    const width = Math.max(whole[2] / 40, Math.min(box[2] * times, whole[2]));
    const scale = width / box[2];
    look([px - (px - box[0]) * scale, py - (py - box[1]) * scale, width]);
    if (at >= 0) show(at);
  };
  const place = (event) => {
    const screen = plane.getScreenCTM();
    return [(event.clientX - screen.e) / screen.a, (event.clientY - screen.f) / screen.d, screen.a];
  };
  const nearest = (event, reach) => {
    const [px, py, scale] = place(event);
    let best = -1;
    let least = (reach / scale) ** 2;
    for (let row = 0; row < count; row += 1) {
      const far = (x(row) - px) ** 2 + (y(row) - py) ** 2 - (data.current[row] ? 1 : 0);
      if (far < least && visible(row)) { least = far; best = row; }
    }
    return best;
  };

  plane.addEventListener("pointermove", (event) => {
    if (held) {
      const [, , scale] = place(event);
      look([held.box[0] - (event.clientX - held.x) / scale, held.box[1] - (event.clientY - held.y) / scale, held.box[2]]);
      return;
    }
    show(nearest(event, 14));
  });
  plane.addEventListener("pointerleave", () => { if (!held && document.activeElement !== plane) show(-1); });
  plane.addEventListener("pointerdown", (event) => {
    if (box[2] >= whole[2]) { show(nearest(event, 24), true); return; }
    held = { x: event.clientX, y: event.clientY, box: box.slice() };
    plane.setPointerCapture(event.pointerId);
    plane.classList.add("held");
  });
  const release = (event) => {
    if (held && Math.hypot(event.clientX - held.x, event.clientY - held.y) < 5) show(nearest(event, 24), true);
    held = null;
    plane.classList.remove("held");
  };
  plane.addEventListener("pointerup", release);
  plane.addEventListener("pointercancel", () => { held = null; plane.classList.remove("held"); });
  plane.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const [px, py] = place(event);
    zoom(event.deltaY > 0 ? 1.25 : 0.8, px, py);
  }, { passive: false });
  plane.addEventListener("dblclick", (event) => { const [px, py] = place(event); zoom(0.5, px, py); });

  // Keys step through what matters most: candidates, then the drifted region, then the window, then the reference.
  const rank = (row) => (data.ranks[row] !== undefined ? data.ranks[row] : { drifted: 1e6, current: 2e6, reference: 3e6 }[kind(row)]);
  const order = Array.from({ length: count }, (_, row) => row).sort((a, b) => rank(a) - rank(b) || a - b);
  const step = (by) => {
    const seen = order.filter(visible);
    if (!seen.length) return;
    const now = seen.indexOf(at);
    show(seen[now < 0 ? (by > 0 ? 0 : seen.length - 1) : (now + by + seen.length) % seen.length], true);
  };
  const middle = () => (at >= 0 ? [x(at), y(at)] : [box[0] + box[2] / 2, box[1] + box[3] / 2]);
  const keys = {
    ArrowRight: () => step(1), ArrowDown: () => step(1), ArrowLeft: () => step(-1), ArrowUp: () => step(-1),
    "+": () => zoom(0.7, ...middle()), "=": () => zoom(0.7, ...middle()), "-": () => zoom(1 / 0.7, ...middle()),
    0: () => look(whole), Escape: () => show(-1),
  };
  plane.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of all("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "all") { look(whole); if (at >= 0) show(at); } else zoom(button.dataset.zoom === "in" ? 0.7 : 1 / 0.7, ...middle());
    });
  }
  for (const tick of all("[data-layer]")) {
    tick.addEventListener("change", () => {
      layer[tick.dataset.layer] = tick.checked;
      for (const path of plane.querySelectorAll("[data-is='" + tick.dataset.layer + "']")) path.classList.toggle("off", !tick.checked);
    });
  }
  const pick = one("#group");
  const highlight = (group) => {
    let path = "";
    let number = 0;
    for (let row = 0; group !== "" && row < count; row += 1) {
      if (data.group[row] === Number(group)) { path += dot(row); number += 1; }
    }
    chosen.setAttribute("d", path);
    plane.classList.toggle("grouped", group !== "");
    said.textContent = group === "" ? "" : "Group " + (Number(group) + 1) + ", " + data.groups[group] + ": " + number + " records";
  };
  pick.addEventListener("change", () => highlight(pick.value));
  const toMap = () => { one("#map").scrollIntoView(); plane.focus({ preventScroll: true }); };
  for (const button of all("[data-group]")) {
    button.addEventListener("click", () => { pick.value = button.dataset.group; toMap(); highlight(pick.value); });
  }
  for (const button of all("[data-show]")) {
    button.addEventListener("click", () => {
      const row = Number(button.dataset.show);
      toMap();
      look([x(row) - whole[2] / 10, y(row) - whole[3] / 10, whole[2] / 5]);
      show(row, true);
    });
  }
})();
